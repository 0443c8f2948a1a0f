package app

import (
	"slices"
	"strings"

	"tollbook/app/fault"
)

// Bounds of the models a key names.
const (
	maxKeyModels     = 50
	maxKeyModelBytes = 100
)

// checkModels sorts a key's models and refuses what can name none.
func checkModels(models []string) ([]string, error) {
	if len(models) > maxKeyModels {
		return nil, fault.Invalid("models", "models_many", "A key names at most %d models.", maxKeyModels)
	}
	list := make([]string, 0, len(models))
	for _, m := range models {
		m = strings.TrimSpace(m)
		name := strings.TrimSuffix(m, "*")
		if name == "" || len(m) > maxKeyModelBytes || strings.ContainsFunc(name, func(r rune) bool { return !modelRune(r) }) {
			return nil, fault.Invalid("models", "model_name", "%.100q names no model: write its name, like claude-opus-5-5, or how names begin, like claude-haiku-*.", m)
		}
		list = append(list, m)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

func modelRune(r rune) bool {
	return (r >= 'a' && r <= 'z') || (r >= '0' && r <= '9') || strings.ContainsRune("-._@:/", r)
}

// AllowedModels are what a key may ask for; nil is everything.
type AllowedModels struct {
	names    map[string]bool
	prefixes []string
	words    string
}

func allowedModels(list []string) *AllowedModels {
	if len(list) == 0 {
		return nil
	}
	a := &AllowedModels{names: make(map[string]bool, len(list)), words: strings.Join(list, ", ")}
	for _, m := range list {
		if prefix, ok := strings.CutSuffix(m, "*"); ok {
			a.prefixes = append(a.prefixes, prefix)
			continue
		}
		a.names[m] = true
	}
	return a
}

// Allow tells whether a model may be asked for.
func (a *AllowedModels) Allow(model string) bool {
	return a == nil || a.names[model] || slices.ContainsFunc(a.prefixes, func(prefix string) bool { return strings.HasPrefix(model, prefix) })
}

// String lists them.
func (a *AllowedModels) String() string {
	if a == nil {
		return "every model"
	}
	return a.words
}
