// Reads manifests from standard input and refuses what Prometheus Operator's types don't know: a misspelt field would be
// dropped by the API server without a word.
package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	input, err := io.ReadAll(os.Stdin)
	if err != nil {
		fail(err)
	}
	for _, document := range strings.Split(string(input), "\n---\n") {
		if err := check(document); err != nil {
			fail(err)
		}
	}
}

func check(document string) error {
	var meta struct{ APIVersion, Kind string }
	if err := yaml.Unmarshal([]byte(document), &meta); err != nil || !strings.HasPrefix(meta.APIVersion, "monitoring.coreos.com/") {
		return err
	}
	switch meta.Kind {
	case "ServiceMonitor":
		var monitor monitoring.ServiceMonitor
		if err := yaml.UnmarshalStrict([]byte(document), &monitor); err != nil {
			return err
		}
		if len(monitor.Spec.Endpoints) == 0 || len(monitor.Spec.Selector.MatchLabels) == 0 {
			return fmt.Errorf("ServiceMonitor: endpoints and a selector are required")
		}
	case "PrometheusRule":
		var rule monitoring.PrometheusRule
		if err := yaml.UnmarshalStrict([]byte(document), &rule); err != nil {
			return err
		}
		names := map[string]bool{}
		for _, group := range rule.Spec.Groups {
			if group.Name == "" || names[group.Name] || len(group.Rules) == 0 {
				return fmt.Errorf("PrometheusRule: group %q is unnamed, there twice, or empty", group.Name)
			}
			names[group.Name] = true
		}
		if len(names) == 0 {
			return fmt.Errorf("PrometheusRule: there are no rules")
		}
	default:
		return fmt.Errorf("%s: this kind of Prometheus Operator's isn't checked yet", meta.Kind)
	}
	fmt.Println("ok:", meta.Kind)
	return nil
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
