package main

import (
	"archive/zip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/confirmation"
	"tollbook/app/export/packet"
	"tollbook/app/provider"
	"tollbook/app/witness"
)

// verification is one check of an export: what it is checked with, and what was found.
type verification struct {
	keys       []string // of the log, as they came another way
	issuers    confirmation.Independent
	witnesses  *witness.Keys
	held       []byte // a head kept outside
	checked    auditlog.Checked
	decisions  *confirmation.Inspector
	sights     []witness.Found
	heldHead   auditlog.Checkpoint
	heldSigned bool    // by a key that is trusted
	again      *repull // nil: the provider is not asked
}

// commandVerify checks a packet, an export of the audit log or an archive of provider reports
// offline: it needs the file, and the log's public key from elsewhere. With an Admin API key
// it asks the provider for the same reports.
func commandVerify(ctx context.Context, args []string, out, progress io.Writer) error {
	var adminKey, address string
	files := map[string]*string{"log-keys": new(string), "issuer-keys": new(string), "witness-keys": new(string), "checkpoint": new(string)}
	define := func(f *flag.FlagSet) {
		for name, file := range files {
			f.StringVar(file, name, "", "")
		}
		f.StringVar(&adminKey, "admin-key", "", "")
		f.StringVar(&address, "provider", "", "")
	}
	rest, err := parse("verify", args, define, true)
	if err != nil {
		return err
	}
	if len(rest) > 1 { // flags after the path
		path := rest[0]
		if rest, err = parse("verify", rest[1:], define, true); err != nil {
			return err
		}
		rest = append([]string{path}, rest...)
	}
	if len(rest) != 1 {
		return misuse("verify takes one PATH: a packet, an export of the audit log, or an archive of provider reports, as a zip or unpacked")
	}
	var v verification
	for name, read := range map[string]func([]byte) error{
		"log-keys": func(text []byte) error {
			if v.keys = auditlog.Lines(text); len(v.keys) == 0 {
				return errors.New("it holds no key")
			}
			return nil
		},
		"issuer-keys":  func(text []byte) (err error) { v.issuers, err = confirmation.ReadIndependent(text); return err },
		"witness-keys": func(text []byte) (err error) { v.witnesses, err = witness.ReadKeys(text); return err },
		"checkpoint":   func(text []byte) error { v.held = text; return nil },
	} {
		if *files[name] == "" {
			continue
		}
		text, err := os.ReadFile(*files[name])
		if err == nil {
			err = read(text)
		}
		if err != nil {
			return fmt.Errorf("--%s: %w", name, err)
		}
	}
	if v.again, err = readRepull(adminKey, address); err != nil {
		return err
	}
	bundle, closeBundle, err := openBundle(rest[0])
	if err != nil {
		return err
	}
	switch reports := provider.IsArchive(bundle); {
	case reports:
		return errors.Join(v.reports(ctx, rest[0], bundle, out, progress), closeBundle())
	case v.again != nil:
		return errors.Join(misuse("--admin-key asks a provider for its reports again: PATH is no archive of them"), closeBundle())
	}
	if packet.Is(bundle) {
		return errors.Join(v.packet(rest[0], bundle, out), closeBundle())
	}
	err = v.check(bundle)
	if err = errors.Join(err, closeBundle()); err != nil {
		_, _ = fmt.Fprintf(out, "BAD  %s\n%s", rest[0], decided(v.decisions))
		return err
	}
	_, err = io.WriteString(out, report(rest[0], &v.checked)+v.seen()+v.goesOn()+decided(v.decisions))
	return err
}

// check checks the log of an export, the decisions in it that issuers confirmed, what
// witnesses saw of it, and that it goes on from a head that was kept.
func (v *verification) check(bundle fs.FS) error {
	keys, err := auditlog.TrustedKeys(bundle, v.keys)
	if err != nil {
		return err
	}
	if v.decisions, err = confirmation.NewInspector(bundle, keys, v.issuers); err != nil {
		return err
	}
	if v.checked, err = auditlog.Check(bundle, v.keys, v.decisions.Look); err != nil {
		return err
	}
	if err := v.decisions.End(); err != nil {
		return err
	}
	if v.sights, err = witness.Check(bundle, v.witnesses); err != nil || v.held == nil {
		return err
	}
	v.heldHead, v.heldSigned, err = auditlog.Extends(bundle, &v.checked, v.held, keys)
	return err
}

// decided is what was found of decisions that issuers confirmed, one by one, and what it
// proves.
func decided(i *confirmation.Inspector) string {
	if i == nil {
		return ""
	}
	if len(i.Decisions) == 0 {
		return "Decisions    none that an issuer was asked to confirm\n"
	}
	var text strings.Builder
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(&text, format+"\n", args...) }
	say("Decisions    %d: of each, the document, the ID token, its signature by the kept key set, nonce, subject, time, and Tollbook's signature", len(i.Decisions))
	for k := range i.Decisions {
		d := &i.Decisions[k]
		who := d.Member
		if d.For != "" {
			who += " for " + d.For
		}
		say("  record %d   change %d by %s: asked %s, signed in %s", d.Sequence, d.Number, who, d.AskedAt.Format(time.RFC3339), d.AuthTime.Format(time.RFC3339))
		say("             %s", agreement(d))
	}
	say("             Each proves: the issuer confirmed this person, then, for this digest. Tollbook signs the decision;")
	say("             the issuer approved nothing and knew no more than the digest.")
	if i.OwnKey {
		say("             Tollbook's key for decisions is from the export itself.")
	}
	return text.String()
}

func agreement(d *confirmation.Confirmed) string {
	switch d.Keys {
	case confirmation.Agrees:
		return "the keys of --issuer-keys agree: this token is " + d.Issuer + "'s"
	case confirmation.Disagrees:
		return "the keys of --issuer-keys DISAGREE: this token is not " + d.Issuer + "'s"
	case confirmation.Unknown:
		return fmt.Sprintf("the keys of --issuer-keys do not hold key %q of %s: NOT CONFIRMED by them", d.KeyID, d.Issuer)
	case confirmation.Unasked:
	}
	return "by " + d.Issuer + ", whose keys are from the export itself: give them as you got them another way with --issuer-keys FILE"
}

func openBundle(path string) (fs.FS, func() error, error) {
	at, err := os.Stat(path)
	if err != nil {
		return nil, nil, err
	}
	if at.IsDir() {
		return os.DirFS(path), func() error { return nil }, nil
	}
	archive, err := zip.OpenReader(path)
	if err != nil {
		return nil, nil, fmt.Errorf("%s is neither a directory nor a zip: %w", path, err)
	}
	return archive, archive.Close, nil
}
