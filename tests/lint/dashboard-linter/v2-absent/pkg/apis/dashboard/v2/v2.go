// Package v2 has the shape, and nothing of the content, of Grafana's schema of v2 dashboards.
//
// dashboard-linter reads v2 dashboards through Grafana's own package, whose version it names is not on every Go proxy.
// The dashboards of this repository are classic ones: the linter then never comes here.
package v2

type (
	named struct {
		Name  string
		Label *string
	}
	variable struct {
		named
		Multi    bool
		AllValue *string
		Refresh  DashboardVariableRefresh
		PluginId string
		Query    string
	}
	textVariable  struct{ Spec variable }
	queryVariable struct {
		Spec struct {
			named
			Multi    bool
			AllValue *string
			Refresh  DashboardVariableRefresh
			Query    DashboardDataQueryKind
		}
	}
)

type DashboardSpec struct {
	Title       string
	Editable    *bool
	Elements    map[string]DashboardElement
	Variables   []DashboardVariableKind
	Annotations []DashboardAnnotationQueryKind
}

type DashboardElement struct {
	PanelKind *struct{ Spec DashboardPanelSpec }
}

type DashboardPanelSpec struct {
	Id          float64
	Title       string
	Description string
	Data        struct {
		Spec struct{ Queries []DashboardPanelQueryKind }
	}
	VizConfig struct {
		Group string
		Spec  struct{ FieldConfig, Options any }
	}
}

type DashboardPanelQueryKind struct {
	Spec struct {
		RefId  string
		Hidden bool
		Query  DashboardDataQueryKind
	}
}

type DashboardDataQueryKind struct {
	Group      string
	Datasource *struct{ Name *string }
	Spec       map[string]any
}

type DashboardAnnotationQueryKind struct {
	Spec struct {
		Name  string
		Query DashboardDataQueryKind
	}
}

type DashboardVariableKind struct {
	QueryVariableKind                                                             *queryVariable
	DatasourceVariableKind, CustomVariableKind, IntervalVariableKind              *textVariable
	ConstantVariableKind, TextVariableKind, AdhocVariableKind, SwitchVariableKind *textVariable
	GroupByVariableKind                                                           *textVariable
}

type DashboardVariableRefresh string

const (
	DashboardVariableRefreshOnDashboardLoad    DashboardVariableRefresh = "onDashboardLoad"
	DashboardVariableRefreshOnTimeRangeChanged DashboardVariableRefresh = "onTimeRangeChanged"
)
