package main

import (
	"fmt"
	"io"
	"io/fs"

	"tollbook/app/export/packet"
)

// packet checks what was sent at close: its files, its seal, and that its journal balances.
func (v *verification) packet(path string, bundle fs.FS, out io.Writer) error {
	if v.issuers != nil || v.witnesses != nil || v.held != nil {
		return misuse("a packet is verified with --log-keys alone: the other keys are for an export of the audit log")
	}
	checked, err := packet.Check(bundle, v.keys)
	if err != nil {
		_, _ = fmt.Fprintf(out, "BAD  %s\n", path)
		return err
	}
	_, err = fmt.Fprintf(out, "GOOD %s\n\n%s", path, checked.Words())
	return err
}
