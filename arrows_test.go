package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

type listed struct {
	ImportPath   string
	Dir          string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Imports,TestImports,XTestImports", "-tags", "clients soak", "./...")
	command.Stderr = os.Stderr
	out, err := command.Output()
	require.NoError(t, err)
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	var all []listed
	for {
		var p listed
		err := decoder.Decode(&p)
		if errors.Is(err, io.EOF) {
			break
		}
		require.NoError(t, err)
		all = append(all, p)
	}
	require.Greater(t, len(all), 15)
	return all
}

// arrows lists, for each package, what of ours it may import (DESIGN section 4).
// "app/*" stands for the pure packages below app that are named in pure.
func arrows() map[string][]string {
	base := []string{"app/fault", "app/id"}
	pure := append(slices.Clone(base), "app/money", "app/usage", "app/secret")
	allPure := append(slices.Clone(pure), "app/pricing", "app/hierarchy", "app/attribution", "app/approval", "app/auditlog", "app/period", "app/job", "app/plan", "app/forecast", "app/variance", "app/export", "app/export/erp", "app/export/focus", "app/export/packet", "app/branding", "app/notice", "app/confirmation", "app/witness", "app/retention", "app/ledger", "app/provider", "app/table", "app/invoice", "app/allocation", "app/reconcile", "app/closing", "app/commentary", "app/dispute")
	edge := append(slices.Clone(allPure), "app")
	return map[string][]string{
		"app/fault": nil, "app/id": {"app/fault"}, "app/money": {"app/fault"}, "app/secret": {"app/fault"}, "app/job": nil,
		// Sideways: a decision's document has canonical bytes, and its record is in the log.
		"app/confirmation": append(slices.Clone(base), "app/auditlog"),
		// Sideways: what is witnessed is a log's head, and an export carries both.
		"app/witness": append(slices.Clone(base), "app/auditlog"),
		// Sideways: a file goes with its manifest, and a journal is cents of a month.
		"app/export/erp":   append(slices.Clone(base), "app/export", "app/money", "app/period", "app/table"),
		"app/export/focus": append(slices.Clone(base), "app/export"),
		// Sideways: a packet tells a month, its journal and why it moved, and the log seals it.
		"app/export/packet": append(slices.Clone(base), "app/export", "app/money", "app/period", "app/ledger", "app/variance", "app/auditlog"),

		"app/usage":       append(slices.Clone(base), "app/money"),
		"app/pricing":     append(slices.Clone(base), "app/money", "app/usage"),
		"app/hierarchy":   base,
		"app/period":      base,
		"app/ledger":      append(slices.Clone(base), "app/money", "app/period"), // sideways: an entry is posted to a month
		"app/provider":    append(slices.Clone(base), "app/money", "app/usage"),
		"app/reconcile":   append(slices.Clone(base), "app/money", "app/table"),  // sideways: spend elsewhere is read from files
		"app/plan":        append(slices.Clone(base), "app/money", "app/period"), // sideways: a plan is by month
		"app/table":       nil,
		"app/allocation":  append(slices.Clone(base), "app/money"),
		"app/invoice":     append(slices.Clone(base), "app/money", "app/period", "app/table"), // sideways: a cycle is cut at the ends of months
		"app/forecast":    append(slices.Clone(base), "app/money", "app/period"),              // sideways: to a month's end
		"app/retention":   append(slices.Clone(base), "app/period"),                           // sideways: terms are counted from months
		"app/closing":     append(slices.Clone(base), "app/money", "app/period", "app/table"), // sideways: a checklist is of a month
		"app/commentary":  append(slices.Clone(base), "app/money", "app/period"),              // sideways: a text is about a month
		"app/dispute":     append(slices.Clone(base), "app/approval"),                         // sideways: a change resolves it
		"app/variance":    append(slices.Clone(base), "app/money"),
		"app/export":      base,
		"app/branding":    base,
		"app/notice":      base,
		"app/attribution": append(slices.Clone(base), "app/money", "app/usage", "app/hierarchy"), // sideways: a request is placed on the tree
		"app/auditlog":    base,
		"app/approval":    append(slices.Clone(base), "app/auditlog", "app/money"), // sideways: a payload has canonical bytes, an impact is dollars
		"db/postgres":     nil,
		"db":              allPure,
		"db/dbtest":       {"db", "db/postgres"},
		"app":             append(slices.Clone(allPure), "db"),
		"gateway/journal": {"app/fault"}, "gateway/anthropic": {"app/fault", "app/usage"}, "gateway/span": nil,
		"gateway":             append(slices.Clone(edge), "gateway/journal", "gateway/anthropic", "gateway/span"),
		"jobs":                append(slices.Clone(edge), "jobs/deliver", "jobs/anthropicadmin"),
		"jobs/anthropicadmin": append(slices.Clone(base), "app/secret", "app/provider"),
		"jobs/attest":         {"app/fault", "app/id", "app/secret", "app/auditlog", "app/witness"},
		"jobs/deliver":        edge,
		"web":                 append(slices.Clone(edge), "web/*", "assets"),
		"web/*":               append(slices.Clone(edge), "web/*", "assets"),
		"assets":              nil,
		// A process of its own, which holds the log's seed, and the way to ask it.
		"signer":           {"app/fault", "app/id", "app/secret", "app/auditlog"},
		"simulator":        nil,
		"simulator/issuer": nil,
		"simulator/notary": nil,
		"demo":             append(slices.Clone(edge), "simulator", "simulator/issuer"),
		"backup":           pure, // the form of files; what they hold is read and written elsewhere
		"login":            nil,  // runs on other machines, and speaks only HTTP to ours
		"e2e":              nil,
		"bench":            append(slices.Clone(edge), "db", "db/postgres", "gateway", "simulator", "web"),
		"":                 {"*"},
	}
}

func TestImportArrows(t *testing.T) {
	t.Parallel()
	const module = "tollbook"
	allowed := arrows()
	for _, p := range packages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		may, known := allowed[name]
		if !known && strings.HasPrefix(name, "web/") {
			may, known = allowed["web/*"], true
		}
		require.True(t, known, "%s: a new package needs its arrows here and a line in the design", name)
		for _, imported := range p.Imports {
			if imported != module && !strings.HasPrefix(imported, module+"/") {
				continue
			}
			to := strings.TrimPrefix(imported, module+"/")
			fine := slices.Contains(may, to) || slices.Contains(may, "*") || (strings.HasPrefix(to, "web/") && slices.Contains(may, "web/*"))
			require.True(t, fine, "%s must not import %s", name, to)
		}
		for _, imported := range append(p.TestImports, p.XTestImports...) {
			if strings.HasPrefix(imported, module+"/") && strings.HasPrefix(name, "simulator") {
				require.True(t, strings.HasPrefix(imported, module+"/simulator"), "%s must be able to disagree: its tests import nothing of ours either", name)
			}
		}
	}
}

// TestLibrariesStayWhereTheyBelong keeps each library behind the one layer that owns
// it, so that the next major version of any is a change in one place.
func TestLibrariesStayWhereTheyBelong(t *testing.T) {
	t.Parallel()
	owners := map[string][]string{
		"gorm.io/":                        {"db"},
		"github.com/jackc/pgx":            {"db", "db/dbtest"},
		"github.com/pressly/goose":        {"db"},
		"github.com/riverqueue/river":     {"db", "jobs"},
		"riverqueue.com/":                 {"db"},
		"github.com/labstack/echo":        {"web", "gateway"},
		"github.com/a-h/templ":            {"web"},
		"github.com/casbin/":              {"app"},
		"github.com/markbates/goth":       {"web"},
		"github.com/coreos/go-oidc":       {"web"},
		"github.com/go-jose/":             {"app/confirmation"},
		"github.com/stretchr/testify":     {},
		"database/sql":                    {"db", "db/dbtest", "app/id"},
		"pgregory.net/rapid":              {},
		"github.com/prometheus/":          {""},
		"go.opentelemetry.io/":            {"gateway/span"},
		"github.com/wneessen/go-mail":     {"jobs/deliver"},
		"github.com/emersion/go-smtp":     {"demo"},
		"github.com/minio/":               {"jobs/attest", "jobs/deliver", "simulator/notary"},
		"github.com/digitorus/":           {"app/witness", "simulator/notary"},
		"github.com/anthropics/anthropic": {},
		"filippo.io/age":                  {"backup"},
		"github.com/parquet-go/":          {"app/export/focus"},
		"github.com/xuri/":                {"app/export/erp", "app/export/packet"},
		"codeberg.org/go-pdf/":            {"app/export/packet"},
	}
	for _, p := range packages(t) {
		name := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, "tollbook"), "/")
		for _, imported := range p.Imports {
			for library, homes := range owners {
				if !strings.HasPrefix(imported, library) {
					continue
				}
				home := slices.ContainsFunc(homes, func(h string) bool { return name == h || (h == "web" && strings.HasPrefix(name, "web/")) })
				require.True(t, home || (name == "db/dbtest" && library == "github.com/stretchr/testify"), "%s must not import %s", name, imported)
			}
		}
	}
}

func TestCasbinIsImportedInOneFile(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("app/*.go")
	require.NoError(t, err)
	for _, file := range files {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		if file != filepath.Join("app", "access.go") {
			require.NotContains(t, string(content), "casbin/", file)
		}
	}
}

func TestEveryPackageSaysWhatItOwns(t *testing.T) {
	t.Parallel()
	for _, p := range packages(t) {
		if p.ImportPath == "tollbook" {
			continue
		}
		content, err := os.ReadFile(filepath.Join(p.Dir, "doc.go"))
		require.NoError(t, err, "%s has no doc.go", p.ImportPath)
		text := strings.Join(strings.Fields(strings.ReplaceAll(string(content), "//", " ")), " ")
		for _, words := range []string{"It owns", "not own", "Invariants:"} {
			require.Contains(t, text, words, p.ImportPath)
		}
	}
}
