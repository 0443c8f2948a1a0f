package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"tollbook/app"
	"tollbook/app/secret"
)

// commandTenant does something with a company that exists.
func (h *house) commandTenant(ctx context.Context, who app.Actor, verb string, args []string, out io.Writer) error {
	switch {
	case verb == "offboard":
		return h.proposeOffboarding(ctx, who, args, out)
	case verb == "suspend" || verb == "resume":
		return h.setTenantState(ctx, who, verb, args)
	case verb == "upstream" && len(args) == 1:
		return h.setUpstream(ctx, who, args[0])
	case verb == "export" && len(args) == 1:
		return h.exportTenant(ctx, who, args[0], out)
	}
	return misuse("tenant: %q with %d arguments means nothing", verb, len(args)+1)
}

func (h *house) listTenants(ctx context.Context, out io.Writer) error {
	list, err := h.tenants.List(ctx)
	for _, t := range list {
		state := "active"
		switch {
		case !t.OffboardedAt.IsZero():
			state = "offboarded at " + t.OffboardedAt.UTC().Format(time.RFC3339)
		case !t.SuspendedAt.IsZero():
			state = "suspended since " + t.SuspendedAt.Format(time.RFC3339)
		}
		_, _ = fmt.Fprintf(out, "%-20s %s  %-38s %s\n", t.Slug, t.ID, state, t.Name)
	}
	return err
}

func (h *house) createTenant(ctx context.Context, slug, name string, out io.Writer) error {
	tenant, err := h.tenants.Create(ctx, slug, name, time.Now().UTC())
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "%s  ANTHROPIC_BASE_URL=%s/gw/%s\n", tenant, h.settings.PublicURL, slug)
	return err
}

// setTenantState closes a company for a while, or opens it again.
func (h *house) setTenantState(ctx context.Context, who app.Actor, verb string, args []string) error {
	var reason string
	if _, err := parse("tenant "+verb, args, func(f *flag.FlagSet) { f.StringVar(&reason, "reason", "", "") }, false); err != nil {
		return err
	}
	if reason == "" {
		return misuse("tenant %s: say why, with --reason", verb)
	}
	if verb == "suspend" {
		return h.tenants.Suspend(ctx, who, reason)
	}
	return h.tenants.Resume(ctx, who, reason)
}

// proposeOffboarding proposes that a suspended company is let go. One of its own decides.
func (h *house) proposeOffboarding(ctx context.Context, who app.Actor, args []string, out io.Writer) error {
	var reason string
	if _, err := parse("tenant offboard", args, func(f *flag.FlagSet) { f.StringVar(&reason, "reason", "", "") }, false); err != nil {
		return err
	}
	if reason == "" {
		return misuse("tenant offboard: say why, with --reason")
	}
	_, slug, err := h.tenants.Name(ctx, who)
	if err != nil {
		return err
	}
	made, err := h.approvals.Propose(ctx, who, app.AskOffboarding(slug, "", reason), "")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(out, "Change %d waits for a finance admin or the controller of %s, who can sign in once the company is resumed.\n%s\n", made.Number, slug, made.Impact.Sentence)
	return err
}

func (h *house) setUpstream(ctx context.Context, who app.Actor, baseURL string) error {
	credential := (&environment{lookup: os.LookupEnv}).text("TOLLBOOK_UPSTREAM_KEY")
	if credential == "" {
		return errors.New("set TOLLBOOK_UPSTREAM_KEY to the provider's API key")
	}
	return h.tenants.SetUpstream(ctx, who, baseURL, secret.NewText(credential), byCommand)
}

// exportTenant writes everything of a company into a file, whole or not at all. Nobody
// but who runs the command may read it.
func (h *house) exportTenant(ctx context.Context, who app.Actor, path string, out io.Writer) error {
	if _, err := os.Lstat(path); err == nil {
		return fmt.Errorf("%s exists already; name a file that does not", path)
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".tollbook-export-*") // of mode 0600
	if err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	defer os.Remove(file.Name()) // is gone already when all went well
	made, err := h.tenants.Export(ctx, who, version, file)
	if err == nil {
		err = file.Sync()
	}
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	if err := os.Rename(file.Name(), path); err != nil {
		return fmt.Errorf("write export: %w", err)
	}
	_, err = fmt.Fprintf(out, "%d rows of %d tables as of %s, audit log to %d, in %s\n", made.Rows(), len(made.Files), made.AsOf.Format("2006-01-02T15:04:05Z"), made.AuditLast, path)
	return err
}
