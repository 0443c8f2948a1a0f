package e2e_test

import (
	"archive/zip"
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// command runs tollbook to its end and returns what it said.
func command(t *testing.T, environment []string, args ...string) (string, int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c := exec.CommandContext(ctx, binary, args...)
	c.Env = environment
	out, err := c.CombinedOutput()
	if err != nil {
		var exit *exec.ExitError
		require.ErrorAs(t, err, &exit, string(out))
		return string(out), exit.ExitCode()
	}
	return string(out), 0
}

func TestABadStartSaysWhatToDo(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() }) // after every subtest
	plain := without(os.Environ(), "TOLLBOOK_DATABASE_URL")
	good := slices.Concat(plain, []string{"TOLLBOOK_DATABASE_URL=postgres://a@b/c", "TOLLBOOK_SYSTEM_DATABASE_URL=postgres://a@b/c", "TOLLBOOK_JOURNAL_DIR=" + t.TempDir(),
		"TOLLBOOK_MASTER_KEY=MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=", "TOLLBOOK_PUBLIC_URL=http://127.0.0.1:1"})
	for name, c := range map[string]struct {
		environment []string
		args        []string
		code        int
		says        []string
	}{
		"nothing":             {plain, nil, 2, []string{"say what to do", "tollbook demo"}},
		"unknown command":     {plain, []string{"dmo"}, 2, []string{`"dmo"`, "Usage"}},
		"unknown flag":        {plain, []string{"demo", "--port", "1"}, 2, []string{"-port", "Usage"}},
		"stray argument":      {plain, []string{"demo", "now"}, 2, []string{`"now"`}},
		"public listener":     {plain, []string{"demo", "--listen", "0.0.0.0:8080"}, 2, []string{"loopback"}},
		"port taken":          {plain, []string{"demo", "--data", t.TempDir(), "--listen", taken.Addr().String()}, 1, []string{"taken", "--listen"}},
		"no Postgres":         {slices.Concat(plain, []string{"TOLLBOOK_PG_BIN=" + t.TempDir()}), []string{"demo", "--data", t.TempDir(), "--listen", "127.0.0.1:0"}, 1, []string{"TOLLBOOK_PG_BIN"}},
		"nothing configured":  {plain, []string{"serve"}, 1, []string{"TOLLBOOK_DATABASE_URL", "TOLLBOOK_SYSTEM_DATABASE_URL", "TOLLBOOK_MASTER_KEY", "TOLLBOOK_PUBLIC_URL", "TOLLBOOK_JOURNAL_DIR", "openssl rand"}},
		"short key":           {slices.Concat(good, []string{"TOLLBOOK_MASTER_KEY=c2hvcnQ="}), []string{"serve"}, 1, []string{"TOLLBOOK_MASTER_KEY", "32 random bytes"}},
		"plain http outside":  {slices.Concat(good, []string{"TOLLBOOK_PUBLIC_URL=http://tollbook.example.com"}), []string{"serve"}, 1, []string{"TOLLBOOK_PUBLIC_URL", "https"}},
		"listen outside":      {slices.Concat(good, []string{"TOLLBOOK_LISTEN=0.0.0.0:8080"}), []string{"serve"}, 1, []string{"TOLLBOOK_LISTEN", "TLS"}},
		"file and value":      {slices.Concat(good, []string{"TOLLBOOK_MASTER_KEY_FILE=/x"}), []string{"serve"}, 1, []string{"TOLLBOOK_MASTER_KEY", "both"}},
		"unknown part":        {good, []string{"serve", "--only", "web,cron"}, 1, []string{"--only", "cron"}},
		"bad faults":          {plain, []string{"simulate", "--data", t.TempDir(), "--faults", "nonsense=1"}, 1, []string{"nonsense"}},
		"migrate unset":       {plain, []string{"migrate"}, 1, []string{"TOLLBOOK_MIGRATE_DATABASE_URL"}},
		"journal without dir": {plain, []string{"journal", "show"}, 2, []string{"DIR"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			out, code := command(t, c.environment, c.args...)
			require.Equal(t, c.code, code, out)
			for _, text := range c.says {
				require.Contains(t, out, text)
			}
			require.NotContains(t, out, "panic")
			require.NotContains(t, out, "goroutine")
		})
	}
}

// TestTheCommandLineMakesASecondTenantThatSeesNothingOfTheFirst drives bootstrap as an
// operator would, against the demo's database.
func TestTheCommandLineMakesASecondTenantThatSeesNothingOfTheFirst(t *testing.T) {
	in := demo(t)
	environment := in.operator(t)
	out, code := command(t, environment, "tenant", "create", "acme", "Acme Corp")
	require.Zero(t, code, out)
	require.Contains(t, out, "/gw/acme")
	out, code = command(t, environment, "tenant", "create", "acme", "Again")
	require.Equal(t, 1, code)
	require.Contains(t, out, "acme exists already")
	out, code = command(t, environment, "node", "create", "acme", "CC-1", "Everything")
	require.Zero(t, code, out)
	out, code = command(t, append(environment, "TOLLBOOK_UPSTREAM_KEY=sk-acme"), "tenant", "upstream", "acme", in.card.SimulatorURL)
	require.Zero(t, code, out)
	out, code = command(t, environment, "key", "create", "acme", "CC-1", "first key")
	require.Zero(t, code, out)
	key := strings.Fields(out)[1]
	require.True(t, strings.HasPrefix(key, "tbk_"), out)
	out, code = command(t, environment, "tenant", "list")
	require.Zero(t, code, out)
	require.Contains(t, out, "meridian")

	out, code = command(t, environment, "prices", "discount", "acme", "1234", "2026-12-01", "order form 7")
	require.Zero(t, code, out)
	require.Contains(t, out, "is proposed")
	out, code = command(t, environment, "prices", "force-discount", "acme", "1000", "2026-12-01", "nobody can sign in yet")
	require.Zero(t, code, out)
	require.Contains(t, out, "past the tenant's people")
	book, code := command(t, environment, "prices", "show", "acme")
	require.Zero(t, code, book)
	require.Contains(t, book, "# price book 2")
	require.Contains(t, book, "discount,contract,,,2026-12-01,,,,,,,,1000,")
	file := filepath.Join(t.TempDir(), "book.csv")
	require.NoError(t, os.WriteFile(file, []byte(strings.Replace(book, ",1000,", ",1100,", 1)), 0o600))
	out, code = command(t, environment, "prices", "diff", "acme", file)
	require.Zero(t, code, out)
	require.Contains(t, out, "# lines that differ from price book 2: 1")
	out, code = command(t, environment, "prices", "propose", "acme", file, "corrected")
	require.Zero(t, code, out)
	out, code = command(t, environment, "prices", "propose", "acme", filepath.Join(t.TempDir(), "none"), "x")
	require.Equal(t, 1, code, out)

	base := strings.TrimSuffix(in.card.GatewayURL, "meridian")
	require.Eventually(t, func() bool { return status(t, base+"acme", key, bootstrapSession) == 200 }, 5*time.Second, 20*time.Millisecond, "usable within a second")
	require.Equal(t, 401, status(t, base+"meridian", key, bootstrapSession), "a key opens its own tenant only")
	require.Equal(t, 401, status(t, base+"acme", in.card.VirtualKeys["CC-4100"], bootstrapSession))
	require.Empty(t, in.usage(t, map[string][]string{"session": {bootstrapSession}}), "nothing of acme is meridian's")
}

// operator is the environment of somebody who runs the installation.
func (in *installation) operator(t *testing.T) []string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(in.dir, "state.json"))
	require.NoError(t, err)
	_, rest, ok := strings.Cut(string(content), `"master_key": "`)
	require.True(t, ok)
	master, _, _ := strings.Cut(rest, `"`)
	as := func(role string) string { return strings.Replace(in.card.DatabaseURL, "tollbook@", role+"@", 1) }
	return append(os.Environ(), "TOLLBOOK_DATABASE_URL="+as("tollbook_app"), "TOLLBOOK_SYSTEM_DATABASE_URL="+as("tollbook_system"),
		"TOLLBOOK_MASTER_KEY="+master, "TOLLBOOK_PUBLIC_URL="+in.card.WebURL)
}

// TestTheCommandLineClosesOpensAndExportsATenant suspends a company, resumes it and takes
// everything of it out, as an operator would.
func TestTheCommandLineClosesOpensAndExportsATenant(t *testing.T) {
	in := demo(t)
	environment := in.operator(t)
	out, code := command(t, environment, "tenant", "create", "borealis", "Borealis")
	require.Zero(t, code, out)
	out, code = command(t, environment, "tenant", "list")
	require.Zero(t, code, out)
	require.Regexp(t, `(?m)^borealis +ten_\w+  active +Borealis$`, out)
	out, code = command(t, environment, "tenant", "suspend", "borealis")
	require.Equal(t, 2, code, out)
	require.Contains(t, out, "--reason")
	out, code = command(t, environment, "tenant", "suspend", "borealis", "--reason", "the contract ended")
	require.Zero(t, code, out)
	out, code = command(t, environment, "tenant", "list")
	require.Zero(t, code, out)
	require.Regexp(t, `(?m)^borealis +ten_\w+  suspended since 20\S+Z +Borealis$`, out)
	require.Regexp(t, `(?m)^meridian +ten_\w+  active `, out)
	out, code = command(t, environment, "tenant", "resume", "borealis", "--reason", "it goes on")
	require.Zero(t, code, out)
	file := filepath.Join(t.TempDir(), "borealis.zip")
	out, code = command(t, environment, "tenant", "export", "borealis", file)
	require.Zero(t, code, out)
	require.Contains(t, out, file)
	archive, err := zip.OpenReader(file)
	require.NoError(t, err)
	require.NoError(t, archive.Close())
	require.Equal(t, "manifest.json", archive.File[len(archive.File)-1].Name)
	state, err := os.Stat(file)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), state.Mode())
	out, code = command(t, environment, "tenant", "export", "borealis", file)
	require.Equal(t, 1, code)
	require.Contains(t, out, "exists already")

	// Its end is proposed of a suspended company alone, and nobody at the command line decides about it.
	out, code = command(t, environment, "tenant", "offboard", "borealis")
	require.Equal(t, 2, code, out)
	require.Contains(t, out, "--reason")
	out, code = command(t, environment, "tenant", "offboard", "borealis", "--reason", "the contract ended")
	require.Equal(t, 1, code, out)
	require.Contains(t, out, "a suspended company alone")
	out, code = command(t, environment, "tenant", "suspend", "borealis", "--reason", "the contract ended")
	require.Zero(t, code, out)
	out, code = command(t, environment, "tenant", "offboard", "borealis", "--reason", "the contract ended")
	require.Zero(t, code, out)
	require.Regexp(t, `^Change \d+ waits for a finance admin or the controller of borealis`, out)
	require.Contains(t, out, "borealis ends here for good")
	out, code = command(t, environment, "tenant", "list")
	require.Zero(t, code, out)
	require.Regexp(t, `(?m)^borealis +ten_\w+  suspended since `, out)
}
