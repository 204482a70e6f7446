//! Makes Grafana's JSON from `dashboards/source`: what is said there once holds for every panel.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

/// A dashboard as `dashboards/source` writes it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Source {
    uid: String,
    title: String,
    description: String,
    /// How far it looks back at first.
    range: String,
    /// The family whose labels are offered as variables.
    offers: String,
    /// Whether it is of all accounts, or of the one that is chosen.
    all_accounts: bool,
    rows: Vec<Row>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    title: String,
    height: u64,
    panels: Vec<Panel>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Panel {
    title: String,
    description: String,
    #[serde(rename = "type")]
    kind: Kind,
    width: u64,
    unit: String,
    /// What to show where there is no data; this is often good news.
    empty: String,
    #[serde(default)]
    decimals: Option<u64>,
    #[serde(default)]
    max: Option<f64>,
    /// The groups of `colours.yml` whose names its legend can show.
    #[serde(default)]
    colours: Vec<String>,
    /// The colour of its value from each bound on.
    #[serde(default)]
    steps: Vec<(String, Option<f64>)>,
    /// What to show instead of a number, and its colour.
    #[serde(default)]
    words: Words,
    /// Of a table: what each query's value is called, and how it is shown.
    #[serde(default)]
    columns: Vec<Column>,
    /// Of a table: the title of the column whose smallest value comes first.
    #[serde(default)]
    sorted_by: String,
    /// Of a stat: shows the legend instead of the value.
    #[serde(default)]
    shows_legend: bool,
    queries: Vec<Query>,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "lowercase")]
enum Kind {
    /// One number each.
    Stat,
    /// Lines over time.
    Lines,
    /// Stacked areas over time.
    Stack,
    /// What was in which state when.
    States,
    /// Numbers side by side, as bars of the same scale.
    Bars,
    /// The distribution of a histogram over time.
    Heatmap,
    /// A row for each account.
    Table,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Column {
    /// The label, or `Value #A` for the value of the first query.
    field: String,
    title: String,
    #[serde(default)]
    unit: Option<String>,
    #[serde(default)]
    steps: Vec<(String, Option<f64>)>,
    /// What to show instead of a number, and its colour.
    #[serde(default)]
    words: Words,
    /// The groups of `colours.yml` that its texts are of.
    #[serde(default)]
    colours: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Query {
    expr: String,
    #[serde(default)]
    legend: String,
}

/// Value, what to show instead, verdict.
type Words = BTreeMap<String, (String, String)>;

/// Group, name as a legend shows it, colour.
pub(super) type Colours = BTreeMap<String, BTreeMap<String, String>>;

/// What stands for the selectors that every query has.
const SELECTORS: [(&str, &str); 2] = [
    (
        "$account",
        r#"job=~"$job", instance=~"$instance", id_instance=~"$id_instance""#,
    ),
    ("$exporter", r#"job=~"$job", instance=~"$instance""#),
];

/// The dashboard in Grafana's classic format.
pub(super) fn dashboard(source: &Source, colours: &Colours) -> Value {
    let mut panels = Vec::new();
    let mut top = 0;
    for row in &source.rows {
        panels.push(json!({
            "id": panels.len() + 1, "type": "row", "title": row.title, "collapsed": false, "panels": [],
            "gridPos": { "x": 0, "y": top, "w": 24, "h": 1 },
        }));
        top += 1;
        let mut left = 0;
        for panel in &row.panels {
            if left + panel.width > 24 {
                (left, top) = (0, top + row.height);
            }
            let mut made = panel.to_grafana(colours);
            made["id"] = json!(panels.len() + 1);
            made["gridPos"] = json!({ "x": left, "y": top, "w": panel.width, "h": row.height });
            panels.push(made);
            left += panel.width;
        }
        top += row.height;
    }
    json!({
        "id": null, "uid": source.uid, "title": source.title, "description": source.description,
        "tags": ["green-api", "whatsapp"], "schemaVersion": 42, "version": 1, "editable": false,
        "graphTooltip": 1, "timezone": "browser", "refresh": "1m", "fiscalYearStartMonth": 0, "liveNow": false,
        "time": { "from": source.range, "to": "now" }, "timepicker": {},
        "annotations": { "list": [] },
        "links": [{
            "type": "dashboards", "title": "GREEN-API", "tags": ["green-api"], "asDropdown": false,
            "includeVars": true, "keepTime": true, "icon": "external link", "targetBlank": false, "tooltip": "", "url": "",
        }],
        "templating": { "list": variables(source) },
        "panels": panels,
    })
}

fn variables(source: &Source) -> Vec<Value> {
    let offers = &source.offers;
    let mut variables = vec![json!({
        "name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus",
        "current": {}, "options": [], "hide": 0, "includeAll": false, "multi": false, "refresh": 1, "regex": "",
    })];
    let chain = [
        ("job", "Job", offers.clone()),
        ("instance", "Instance", format!(r#"{offers}{{job=~"$job"}}"#)),
        (
            "id_instance",
            "Account",
            r#"greenapi_instance_info{job=~"$job", instance=~"$instance"}"#.to_owned(),
        ),
    ];
    for (name, label, series) in chain {
        let query = format!("label_values({series}, {name})");
        let mut variable = json!({
            "name": name, "label": label, "type": "query", "datasource": datasource(),
            "query": { "query": query, "refId": name, "qryType": 1 }, "definition": query,
            "multi": true, "includeAll": true, "allValue": ".+", "refresh": 2, "sort": 1, "regex": "", "hide": 0,
            "current": { "selected": true, "text": ["All"], "value": ["$__all"] }, "options": [],
        });
        if name == "id_instance" && !source.all_accounts {
            // Grafana chooses the first of a list that doesn't begin with all.
            variable["includeAll"] = json!(false);
            variable["allValue"] = Value::Null;
            variable["current"] = json!({});
        }
        variables.push(variable);
    }
    variables
}

fn datasource() -> Value {
    json!({ "type": "prometheus", "uid": "$datasource" })
}

impl Panel {
    fn to_grafana(&self, colours: &Colours) -> Value {
        let mut overrides = self.legend_overrides(colours);
        overrides.extend(self.columns.iter().filter_map(|column| column.overrides(colours)));
        let mut defaults = json!({
            "unit": self.unit, "noValue": self.empty, "custom": self.drawing(),
            "color": { "mode": self.colouring() },
            "thresholds": thresholds(&self.steps, colours),
        });
        if !self.words.is_empty() {
            defaults["mappings"] = json!([{ "type": "value", "options": words(&self.words, colours) }]);
        }
        if let Some(decimals) = self.decimals {
            defaults["decimals"] = json!(decimals);
        }
        if !matches!(self.kind, Kind::Table | Kind::Heatmap) {
            defaults["min"] = json!(0);
        }
        if let Some(max) = self.max {
            defaults["max"] = json!(max);
        }
        let mut panel = json!({
            "type": self.grafana_type(), "title": self.title, "description": self.description,
            "datasource": datasource(), "targets": self.targets(),
            "fieldConfig": { "defaults": defaults, "overrides": overrides },
            "options": self.options(),
        });
        if self.kind == Kind::Table {
            panel["transformations"] = self.arrangement();
        }
        panel
    }

    /// One number has the colour of what it means, and several series have colours to tell them apart.
    fn colouring(&self) -> &'static str {
        match self.kind {
            Kind::Stat | Kind::States | Kind::Table | Kind::Heatmap => "thresholds",
            Kind::Lines | Kind::Stack | Kind::Bars => "palette-classic",
        }
    }

    fn grafana_type(&self) -> &'static str {
        match self.kind {
            Kind::Stat => "stat",
            Kind::Lines | Kind::Stack => "timeseries",
            Kind::States => "state-timeline",
            Kind::Bars => "bargauge",
            Kind::Heatmap => "heatmap",
            Kind::Table => "table",
        }
    }

    fn targets(&self) -> Vec<Value> {
        let instant = matches!(self.kind, Kind::Stat | Kind::Bars | Kind::Table);
        let format = match self.kind {
            Kind::Table => "table",
            Kind::Heatmap => "heatmap",
            _ => "time_series",
        };
        let mut targets = Vec::new();
        for (id, query) in ('A'..).zip(&self.queries) {
            let expr = SELECTORS
                .iter()
                .fold(query.expr.trim().to_owned(), |expr, (word, selector)| {
                    expr.replace(word, selector)
                });
            targets.push(json!({
                "refId": id.to_string(), "datasource": datasource(), "expr": expr, "legendFormat": query.legend,
                "instant": instant, "range": !instant, "format": format,
            }));
        }
        targets
    }

    /// How it is drawn.
    fn drawing(&self) -> Value {
        match self.kind {
            Kind::Lines => json!({ "drawStyle": "line", "lineWidth": 2, "fillOpacity": 5, "showPoints": "never" }),
            Kind::Stack => json!({
                "drawStyle": "line", "lineWidth": 1, "fillOpacity": 60, "showPoints": "never",
                "stacking": { "mode": "normal", "group": "A" },
            }),
            Kind::States => json!({ "fillOpacity": 80, "lineWidth": 0 }),
            Kind::Table => json!({ "align": "auto", "filterable": true }),
            Kind::Stat | Kind::Bars | Kind::Heatmap => json!({}),
        }
    }

    fn options(&self) -> Value {
        let last = json!({ "calcs": ["lastNotNull"], "fields": "", "values": false });
        match self.kind {
            Kind::Stat => json!({
                "reduceOptions": last, "colorMode": "value", "graphMode": "none", "justifyMode": "center",
                "textMode": if self.shows_legend { "name" } else { "auto" }, "orientation": "auto",
            }),
            Kind::Lines | Kind::Stack => json!({
                "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true, "calcs": [] },
                "tooltip": { "mode": "multi", "sort": "desc" },
            }),
            Kind::States => json!({
                "mergeValues": true, "showValue": "never", "rowHeight": 0.8,
                "legend": { "displayMode": "list", "placement": "bottom", "showLegend": true },
                "tooltip": { "mode": "single", "sort": "none" },
            }),
            Kind::Bars => json!({
                "reduceOptions": last, "orientation": "horizontal", "displayMode": "gradient", "showUnfilled": true,
            }),
            Kind::Heatmap => json!({
                "calculate": false, "cellGap": 1, "legend": { "show": true }, "yAxis": { "unit": self.unit },
                "color": { "mode": "scheme", "scheme": "Purples", "steps": 64 }, "tooltip": { "mode": "single" },
            }),
            Kind::Table => json!({
                "showHeader": true, "cellHeight": "sm", "sortBy": [{ "displayName": self.sorted_by, "desc": false }],
            }),
        }
    }

    /// A name has its colour wherever it is shown.
    fn legend_overrides(&self, colours: &Colours) -> Vec<Value> {
        let names = self.colours.iter().flat_map(|group| &colours[group]);
        let overridden = |(name, colour): (&String, &String)| {
            json!({
                "matcher": { "id": "byName", "options": name },
                "properties": [{ "id": "color", "value": { "mode": "fixed", "fixedColor": colour } }],
            })
        };
        names.map(overridden).collect()
    }

    /// Puts the queries' values into one row for each account, with these columns and no others.
    fn arrangement(&self) -> Value {
        let indexed = |(index, column): (usize, &Column)| (column.field.clone(), json!(index));
        let order: serde_json::Map<String, Value> = self.columns.iter().enumerate().map(indexed).collect();
        let renamed = |column: &Column| (column.field.clone(), json!(column.title));
        let titles: serde_json::Map<String, Value> = self.columns.iter().map(renamed).collect();
        json!([
            { "id": "merge", "options": {} },
            { "id": "filterFieldsByName", "options": { "include": { "names": order.keys().collect::<Vec<_>>() } } },
            { "id": "organize", "options": { "indexByName": order, "renameByName": titles, "excludeByName": {} } },
        ])
    }
}

impl Column {
    fn overrides(&self, colours: &Colours) -> Option<Value> {
        let mut properties = Vec::new();
        if let Some(unit) = &self.unit {
            properties.push(json!({ "id": "unit", "value": unit }));
        }
        if !self.steps.is_empty() {
            properties.push(json!({ "id": "thresholds", "value": thresholds(&self.steps, colours) }));
        }
        if !self.colours.is_empty() {
            let names = self.colours.iter().flat_map(|group| &colours[group]);
            let options: BTreeMap<&str, Value> = names
                .map(|(name, colour)| (&**name, json!({ "text": name, "color": colour })))
                .collect();
            properties.push(json!({ "id": "mappings", "value": [{ "type": "value", "options": options }] }));
        }
        if !self.words.is_empty() {
            let options = words(&self.words, colours);
            properties.push(json!({ "id": "mappings", "value": [{ "type": "value", "options": options }] }));
        }
        if !self.steps.is_empty() || !self.colours.is_empty() || !self.words.is_empty() {
            properties.push(json!({ "id": "custom.cellOptions", "value": { "type": "color-text" } }));
        }
        if self.field == "id_instance" {
            let url = "/d/greenapi-instance?${datasource:queryparam}&${job:queryparam}&${instance:queryparam}\
                       &var-id_instance=${__value.raw}&${__url_time_range}";
            properties.push(json!({ "id": "links", "value": [{ "title": "This account in depth", "url": url }] }));
        }
        let matcher = json!({ "id": "byName", "options": self.title });
        (!properties.is_empty()).then(|| json!({ "matcher": matcher, "properties": properties }))
    }
}

/// Colours of values, each from a bound on; without any, one neutral colour.
fn thresholds(steps: &[(String, Option<f64>)], colours: &Colours) -> Value {
    let verdicts = &colours["verdict"];
    let step = |(verdict, from): &(String, Option<f64>)| json!({ "color": verdicts[verdict], "value": from });
    let mut steps: Vec<Value> = steps.iter().map(step).collect();
    if steps.is_empty() {
        steps.push(json!({ "color": verdicts["neutral"], "value": null }));
    }
    json!({ "mode": "absolute", "steps": steps })
}

fn words(words: &Words, colours: &Colours) -> BTreeMap<String, Value> {
    let word = |(value, (text, verdict)): (&String, &(String, String))| {
        let shown = json!({ "text": text, "color": colours["verdict"][verdict] });
        (value.clone(), shown)
    };
    words.iter().map(word).collect()
}
