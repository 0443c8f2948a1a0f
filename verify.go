package main

import (
	"archive/zip"
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
)

// commandVerify checks an export of the audit log offline: it needs the file, and the
// log's public key from elsewhere.
func commandVerify(args []string, out io.Writer) error {
	var keysFile, issuersFile string
	define := func(f *flag.FlagSet) {
		f.StringVar(&keysFile, "log-keys", "", "")
		f.StringVar(&issuersFile, "issuer-keys", "", "")
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
		return misuse("verify takes one PATH: an export of the audit log, as a zip or unpacked")
	}
	var independent confirmation.Independent
	if issuersFile != "" {
		text, err := os.ReadFile(issuersFile)
		if err == nil {
			independent, err = confirmation.ReadIndependent(text)
		}
		if err != nil {
			return fmt.Errorf("--issuer-keys: %w", err)
		}
	}
	var keys []string
	if keysFile != "" {
		text, err := os.ReadFile(keysFile)
		if err != nil {
			return fmt.Errorf("--log-keys: %w", err)
		}
		if keys = auditlog.Lines(text); len(keys) == 0 {
			return fmt.Errorf("--log-keys: %s holds no key", keysFile)
		}
	}
	bundle, closeBundle, err := openBundle(rest[0])
	if err != nil {
		return err
	}
	checked, decisions, err := check(bundle, keys, independent)
	if err = errors.Join(err, closeBundle()); err != nil {
		_, _ = fmt.Fprintf(out, "BAD  %s\n%s", rest[0], decided(decisions))
		return err
	}
	_, err = io.WriteString(out, report(rest[0], checked)+decided(decisions))
	return err
}

// check checks the log of an export, and the decisions in it that issuers confirmed.
func check(bundle fs.FS, keys []string, independent confirmation.Independent) (auditlog.Checked, *confirmation.Inspector, error) {
	decisions, err := confirmation.NewInspector(bundle, keys, independent)
	if err != nil {
		return auditlog.Checked{}, nil, err
	}
	checked, err := auditlog.Check(bundle, keys, decisions.Look)
	if err == nil {
		err = decisions.End()
	}
	return checked, decisions, err
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

// report is what was checked, in words that can be filed.
func report(path string, c auditlog.Checked) string {
	m := c.Manifest
	text := fmt.Sprintf("GOOD %s\n\nLog          %s\nRecords      %d, from %d to %d of %d: each byte for byte what the log holds, none missing, none added\n",
		path, m.Origin, c.Records, m.From, m.Through-1, m.Size)
	text += fmt.Sprintf("Signed head  %d records, root %s\n", m.Size, c.Root)
	text += fmt.Sprintf("Earlier      %d signed heads: the log only grew since each of them\n", c.Checkpoints)
	if c.Batches > 0 {
		text += fmt.Sprintf("Usage        %d requests in %d batches: those whose root the records hold\n", c.Requests, c.Batches)
	}
	switch m.Signer {
	case auditlog.SignerApart:
		text += "Signer       the installation says: apart from what serves and from the database\n"
	case auditlog.SignerInProcess:
		text += "Signer       in the process that serves: the operator can re-sign the unwitnessed tail\n"
	}
	if c.Trusted {
		return text + "Keys         from --log-keys: whoever holds the log's secret key signed these heads\n"
	}
	return text + "Keys         from the export itself: it agrees with itself, which does not tell who made it;\n             give the log's key as you got it another way with --log-keys FILE\n"
}
