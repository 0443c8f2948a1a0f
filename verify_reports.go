package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"strings"
	"time"

	"tollbook/app"
	"tollbook/app/fault"
	"tollbook/app/provider"
	"tollbook/app/secret"
	"tollbook/jobs/anthropicadmin"
)

// differencesShown bounds what is printed of one report that differs.
const differencesShown = 5

var errReportsDiffer = errors.New("the provider reports other figures than were kept")

// repull is what a provider is asked again with.
type repull struct {
	credential secret.Text
	address    string
}

// readRepull reads the flags of asking again. The address is never the archive's: whoever
// made it could have put their own there, and the key would go to them.
func readRepull(keyFile, address string) (*repull, error) {
	if keyFile == "" {
		if address != "" {
			return nil, misuse("--provider says where to ask again: give the key to ask with as --admin-key FILE")
		}
		return nil, nil //nolint:nilnil // nobody asks again
	}
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, fmt.Errorf("--admin-key: %w", err)
	}
	key := strings.TrimSpace(string(text))
	if key == "" || strings.ContainsAny(key, "\r\n") {
		return nil, errors.New("--admin-key: the file holds one Admin API key and nothing else")
	}
	if address == "" {
		address = app.ProviderURL
	}
	at, err := url.Parse(address)
	if local := err == nil && at.Scheme == "http" && (at.Hostname() == "127.0.0.1" || at.Hostname() == "localhost"); err != nil || at.Host == "" || (at.Scheme != "https" && !local) {
		return nil, misuse("--provider is an https address, as in %s", app.ProviderURL)
	}
	return &repull{credential: secret.NewText(key), address: address}, nil
}

// reports checks an archive of provider reports, and asks the provider the same again where
// a key was given.
func (v *verification) reports(ctx context.Context, path string, bundle fs.FS, out, progress io.Writer) error {
	if v.keys != nil || v.issuers != nil || v.witnesses != nil || v.held != nil {
		return misuse("provider reports are verified with --admin-key alone: the other keys are for a packet or an export of the audit log")
	}
	contents, pulls, err := provider.CheckArchive(bundle)
	if err != nil {
		_, _ = fmt.Fprintf(out, "BAD  %s\n", path)
		return err
	}
	var text strings.Builder
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(&text, format+"\n", args...) }
	pages, figures := 0, 0
	for i := range pulls {
		pages, figures = pages+len(pulls[i].Pages), figures+len(pulls[i].Figures)
	}
	say("Company      %s", contents.Tenant)
	say("Days         %s to %s, UTC", contents.From, contents.Through)
	say("Pages        %d, each with the bytes that its digest says", pages)
	say("Figures      %d of %d reports, added up again from the pages: the digests are those that counted", figures, len(pulls))
	for _, m := range contents.Missing {
		say("             no %s report of %s counted", m.Report, m.Day)
	}
	if v.again == nil {
		say("Asked again  no: with --admin-key FILE the provider is asked for the same, by you")
		_, err := fmt.Fprintf(out, "GOOD %s\n\n%s", path, text.String())
		return err
	}
	differ, err := v.again.compare(ctx, pulls, say, progress)
	if err != nil || differ {
		_, _ = fmt.Fprintf(out, "BAD  %s\n\n%s", path, text.String())
		if err == nil {
			err = errReportsDiffer
		}
		return err
	}
	say("Asked again  at %s: all %d reports are the same to the last token and pico-dollar", v.again.address, len(pulls))
	_, err = fmt.Fprintf(out, "GOOD %s\n\n%s", path, text.String())
	return err
}

// compare asks for each report again and tells whether any differs. A provider answers some
// sixty questions a minute, so that a month takes one or two.
func (r *repull) compare(ctx context.Context, pulls []provider.Archived, say func(string, ...any), progress io.Writer) (differ bool, err error) {
	client := anthropicadmin.New(anthropicadmin.Config{Ask: askProvider(), Now: time.Now, Version: version}) //nolint:bodyclose // whoever asks closes
	for i := range pulls {
		p := &pulls[i]
		if i%10 == 0 && i > 0 {
			_, _ = fmt.Fprintf(progress, "Asked for %d of %d reports again\n", i, len(pulls))
		}
		reading := provider.Begin(p.API, p.Report, p.On)
		err := client.Pages(ctx, anthropicadmin.Question{BaseURL: r.address, Credential: r.credential, API: p.API, Report: p.Report, Day: p.On}, reading,
			func(page anthropicadmin.Answer) error { return reading.Read(page.Body) })
		if err != nil {
			return true, fmt.Errorf("ask again for %s of %s: %s", p.Report, p.Day, fault.From(err).Message)
		}
		found := provider.Differences(p.Figures, reading.Figures())
		if len(found) == 0 {
			continue
		}
		differ = true
		say("DIFFERS      %s of %s, pull %d as of %s: %d of %d figures", p.Report, p.Day, p.Number, p.AsOf.Format(time.RFC3339), len(found), len(p.Figures))
		for k := range found[:min(len(found), differencesShown)] {
			say("             %s", differenceWords(&found[k]))
		}
		if len(found) > differencesShown {
			say("             and %d more", len(found)-differencesShown)
		}
	}
	return differ, nil
}

func differenceWords(d *provider.Difference) string {
	var of []string
	for _, word := range []string{d.Workspace, d.Key, d.Model, d.Tier, d.Speed, d.Geography, d.Class} {
		if word != "" {
			of = append(of, word)
		}
	}
	what := strings.Join(of, " ")
	if d.Report == provider.Usage {
		return fmt.Sprintf("%s: kept %d, now %d", what, d.Before.Quantity, d.After.Quantity)
	}
	list, amount := d.Amounts()
	return fmt.Sprintf("%s: kept %s, now %s (to be paid %s more, at list %s more)", what, d.Before.Amount, d.After.Amount, amount.String(), list.String())
}
