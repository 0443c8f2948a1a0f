package main

import (
	"archive/zip"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"

	"tollbook/app/auditlog"
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
	if issuersFile != "" {
		if _, err := os.Stat(issuersFile); err != nil {
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
	checked, err := auditlog.Check(bundle, keys)
	if err = errors.Join(err, closeBundle()); err != nil {
		_, _ = fmt.Fprintf(out, "BAD  %s\n", rest[0])
		return err
	}
	text := report(rest[0], checked)
	if issuersFile != "" {
		text += "Issuers      this export holds no sign-in tokens: --issuer-keys had nothing to check\n"
	}
	_, err = io.WriteString(out, text)
	return err
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
	if c.Trusted {
		return text + "Keys         from --log-keys: whoever holds the log's secret key signed these heads\n"
	}
	return text + "Keys         from the export itself: it agrees with itself, which does not tell who made it;\n             give the log's key as you got it another way with --log-keys FILE\n"
}
