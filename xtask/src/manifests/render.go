// Renders a Helm chart to standard output as `helm template RELEASE CHART -n NAMESPACE -f VALUES…` does, with what
// Helm is made of: Go's text/template and the sprig functions. Helm itself is in no Debian release. Here is only
// what Helm adds to them and this project's chart uses; anything else fails as an unknown function.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig"
	"gopkg.in/yaml.v3"
)

type object = map[string]interface{}

// files are the chart's files beside its templates.
type files struct{ folder string }

// Get returns a file's text, or nothing, as Helm's does.
func (f files) Get(name string) string {
	text, err := os.ReadFile(filepath.Join(f.folder, name))
	if err != nil {
		return ""
	}
	return string(text)
}

func main() {
	if len(os.Args) < 4 {
		fail(fmt.Errorf("usage: render CHART RELEASE NAMESPACE [VALUES…]"))
	}
	chart, release, namespace := os.Args[1], os.Args[2], os.Args[3]
	values := read(filepath.Join(chart, "values.yaml"))
	for _, file := range os.Args[4:] {
		merge(values, read(file))
	}
	about := read(filepath.Join(chart, "Chart.yaml"))
	// Helm reads the chart's description into a struct, whose fields begin with capitals.
	described := object{"Name": about["name"], "Version": about["version"], "AppVersion": about["appVersion"]}
	data := object{
		"Values":  values,
		"Chart":   described,
		"Release": object{"Name": release, "Namespace": namespace, "Service": "Helm"},
		"Files":   files{chart},
	}
	all, templates := template.New("chart"), []string{}
	// Helm fails on missing keys only with --strict, but prints nothing for them; here they are mistakes.
	all.Option("missingkey=error").Funcs(sprig.TxtFuncMap()).Funcs(helm(all))
	paths, err := filepath.Glob(filepath.Join(chart, "templates", "*"))
	check(err)
	sort.Strings(paths)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		check(err)
		_, err = all.New(path).Parse(string(text))
		check(err)
		if strings.HasSuffix(path, ".yaml") || strings.HasSuffix(path, "NOTES.txt") {
			templates = append(templates, path)
		}
	}
	for _, path := range templates {
		var out bytes.Buffer
		check(all.ExecuteTemplate(&out, path, data))
		if text := strings.TrimSpace(out.String()); text != "" && strings.HasSuffix(path, ".yaml") {
			fmt.Printf("---\n%s\n", text)
		}
	}
}

// helm returns the functions that Helm adds to sprig's.
func helm(all *template.Template) template.FuncMap {
	return template.FuncMap{
		"include": func(name string, data interface{}) (string, error) {
			var out strings.Builder
			err := all.ExecuteTemplate(&out, name, data)
			return out.String(), err
		},
		"toYaml": func(value interface{}) (string, error) {
			text, err := yaml.Marshal(value)
			return strings.TrimSuffix(string(text), "\n"), err
		},
		"fromYaml": func(text string) (object, error) { return parse([]byte(text)) },
	}
}

// merge lays values over others, as `-f` does: objects field by field, anything else as a whole.
func merge(under, over object) {
	for key, value := range over {
		below, isObject := under[key].(object)
		if above, ok := value.(object); ok && isObject {
			merge(below, above)
		} else {
			under[key] = value
		}
	}
}

func read(path string) object {
	text, err := os.ReadFile(path)
	check(err)
	value, err := parse(text)
	if err != nil {
		fail(fmt.Errorf("%s: %w", path, err))
	}
	return value
}

// parse goes through JSON, as Helm does: every number becomes a float, which prints large integers as 1e+06.
func parse(text []byte) (object, error) {
	var read, value object
	if err := yaml.Unmarshal(text, &read); err != nil {
		return nil, err
	}
	encoded, err := json.Marshal(read)
	if err != nil {
		return nil, err
	}
	err = json.Unmarshal(encoded, &value)
	return value, err
}

func check(err error) {
	if err != nil {
		fail(err)
	}
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "render:", err)
	os.Exit(1)
}
