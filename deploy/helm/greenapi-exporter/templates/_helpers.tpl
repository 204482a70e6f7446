{{- define "greenapi-exporter.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- /* A StatefulSet's pods are called after it, and their names end in a hash of up to 11 characters: 52 are left. */ -}}
{{- define "greenapi-exporter.fullname" -}}
{{- $name := include "greenapi-exporter.name" . -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 52 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 52 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 52 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{- define "greenapi-exporter.selectorLabels" -}}
app.kubernetes.io/name: {{ include "greenapi-exporter.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- /* Not those of the exporter's pods, which the service would take it for. */ -}}
{{- define "greenapi-exporter.testLabels" -}}
app.kubernetes.io/name: {{ include "greenapi-exporter.name" . }}-test
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "greenapi-exporter.labels" -}}
{{ include "greenapi-exporter.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end -}}

{{- /* Helm keeps the values of every release, and the configuration is no secret. A schema can refuse tokens, too, but not say why. */ -}}
{{- define "greenapi-exporter.refuseTokens" -}}
{{- range $index, $instance := .Values.config.instances -}}
{{- if hasKey $instance "api_token" -}}
{{- printf "config.instances[%d].api_token: put tokens into the secret named by tokens.secretName, and set api_token_file" $index | fail -}}
{{- end -}}
{{- end -}}
{{- if hasKey (.Values.config.partner | default dict) "token" -}}
{{- fail "config.partner.token: put tokens into the secret named by tokens.secretName, and set token_file" -}}
{{- end -}}
{{- end -}}

{{- define "greenapi-exporter.config" -}}
{{- if not (or .Values.config.instances .Values.config.partner) -}}
{{- fail "nothing to export: set `config.instances` or `config.partner`, or `demo: true` to try it on simulated data" -}}
{{- end -}}
{{- toYaml .Values.config -}}
{{- end -}}

{{- /* Prometheus Operator refuses a timeout over the interval. Where none is set it is two thirds, and where that can't be told
(Go's durations have neither days nor, here, parts of a second) Prometheus takes its own, or the interval if that is shorter. */ -}}
{{- define "greenapi-exporter.scrapeTimeout" -}}
{{- if .scrapeTimeout -}}
{{- .scrapeTimeout -}}
{{- else -}}
{{- $start := toDate "2006" "2000" -}}
{{- $seconds := sub (dateModify .interval $start | unixEpoch | int64) ($start | unixEpoch | int64) -}}
{{- with div (mul 2 $seconds) 3 -}}
{{- . -}}s
{{- end -}}
{{- end -}}
{{- end -}}
