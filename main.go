// Command tollbook is the whole product: gateway, ledger, pages and jobs in one
// binary, and the commands around it.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// version is set by the linker when a release is built.
var version = "development"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	var misused *usageError
	switch {
	case errors.Is(err, flag.ErrHelp):
	case errors.As(err, &misused):
		fmt.Fprintf(os.Stderr, "tollbook: %v\n\n%s", err, manual)
		os.Exit(2) //nolint:gocritic // nothing is deferred that matters
	case err != nil:
		fmt.Fprintln(os.Stderr, "tollbook:", err)
		os.Exit(1)
	}
}

const manual = `Usage:
  tollbook demo      [--listen 127.0.0.1:8080] [--data .tollbook] [--upstream URL] [--fresh]
  tollbook serve     [--only web,gateway,jobs]      configuration from TOLLBOOK_* variables
  tollbook migrate   [status]
  tollbook simulate  [--listen 127.0.0.1:8090] [--data DIR] [--seed N] [--faults SPEC]
                     [--discount-bps N] [--discount-from DAY] [--report-delay TIME]
  tollbook signer    --listen unix:/PATH.sock|127.0.0.1:PORT --data DIR    holds TOLLBOOK_LOG_KEY, alone
  tollbook verify    PATH [--log-keys FILE] [--issuer-keys FILE] [--witness-keys FILE] [--checkpoint FILE]
                     a packet or an export of the audit log, checked offline; exit 1 says what is bad first
                     PATH [--admin-key FILE] [--provider URL]     provider reports as received; with your own key, asked for again
  tollbook login     [--url URL] [--device] [--cost-center CODE]    URL as ANTHROPIC_BASE_URL
  tollbook login     switch CODE | token | status | logout
  tollbook journal   drain|show DIR
  tollbook backup    --to DIR [--keys-to DIR] [--heads-to DIR] [--recipient age1…] [--keys-only] [--data DIR]
                     database, journals and, encrypted and apart, keys; the passphrase is TOLLBOOK_BACKUP_PASSPHRASE;
                     --data DIR backs up the demo that runs there
  tollbook restore   --from FILE.zip [--keys FILE|DIR] [--later-keys FILE] [--identity FILE] [--checkpoint FILE]
                     [--write-keys FILE]              into a database that does not exist yet; exit 1 names what is missing
  tollbook tenant    create SLUG NAME | list | upstream SLUG URL
                     suspend SLUG --reason TEXT | resume SLUG --reason TEXT
                     export SLUG FILE.zip              every table as CSV with a manifest, without secrets
  tollbook key       create SLUG COST_CENTER LABEL | revoke SLUG KEY_ID REASON
  tollbook node      create SLUG CODE NAME [PARENT_CODE]
  tollbook prices    show SLUG | diff SLUG FILE | propose SLUG FILE REASON | discount SLUG BPS FROM REASON
                     force SLUG FILE REASON | force-discount SLUG BPS FROM REASON    past the tenant's people; leaves a record
  tollbook version
`

// usageError is a command line that means nothing.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func misuse(format string, args ...any) error { return &usageError{text: fmt.Sprintf(format, args...)} }

func run(ctx context.Context, args []string, out, progress io.Writer) error {
	if len(args) == 0 {
		return misuse("say what to do")
	}
	name, rest := args[0], args[1:]
	switch name {
	case "demo":
		return commandDemo(ctx, rest, out, progress)
	case "serve":
		return commandServe(ctx, rest)
	case "migrate":
		return commandMigrate(ctx, rest, out)
	case "simulate":
		return commandSimulate(ctx, rest, out)
	case "login":
		return commandLogin(ctx, rest, out, progress)
	case "signer":
		return commandSigner(ctx, rest)
	case "verify":
		return commandVerify(ctx, rest, out, progress)
	case "backup":
		return commandBackup(ctx, rest, out, progress)
	case "restore":
		return commandRestore(ctx, rest, out, progress)
	case "journal":
		return commandJournal(ctx, rest, out)
	case "tenant", "key", "node", "prices":
		return commandBootstrap(ctx, name, rest, out)
	case "version":
		_, err := fmt.Fprintln(out, version)
		return err
	case "help", "-h", "--help":
		_, err := io.WriteString(out, manual)
		return err
	}
	return misuse("there is no command %q", name)
}

// parse reads a command's flags; anything that is left over is an error unless the
// command takes arguments.
func parse(name string, args []string, define func(*flag.FlagSet), arguments bool) ([]string, error) {
	flags := flag.NewFlagSet("tollbook "+name, flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	define(flags)
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			fmt.Print(manual)
			return nil, err
		}
		return nil, misuse("%s: %v", name, err)
	}
	if !arguments && flags.NArg() > 0 {
		return nil, misuse("%s: %q was not expected", name, flags.Arg(0))
	}
	return flags.Args(), nil
}

func commandServe(ctx context.Context, args []string) error {
	var only string
	if _, err := parse("serve", args, func(f *flag.FlagSet) { f.StringVar(&only, "only", "", "") }, false); err != nil {
		return err
	}
	return runServe(ctx, only)
}
