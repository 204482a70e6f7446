# What every alert has, beyond what pint checks of any. `make lint` runs it without a Prometheus.
rule {
  match {
    kind = "alerting"
  }
  annotation "summary" {
    required = true
    severity = "bug"
    value    = "[A-Z].+\\."
  }
  annotation "description" {
    required = true
    severity = "bug"
  }
  annotation "runbook_url" {
    required = true
    severity = "bug"
  }
  label "severity" {
    required = true
    severity = "bug"
    value    = "critical|warning|info"
  }
}
