package main

import (
	"fmt"
	"strings"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/witness"
)

// report is what was checked, in words that can be filed.
func report(path string, c *auditlog.Checked) string {
	var text strings.Builder
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(&text, format+"\n", args...) }
	m := c.Manifest
	say("GOOD %s\n\nLog          %s", path, m.Origin)
	say("Records      %d, from %d to %d of %d: each byte for byte what the log holds, none missing, none added", c.Records, m.From, m.Through-1, m.Size)
	say("Signed head  %d records, root %s", m.Size, c.Root)
	say("Earlier      %d signed heads: the log only grew since each of them", c.Checkpoints)
	if c.Batches > 0 {
		say("Usage        %d requests in %d batches: those whose root the records hold", c.Requests, c.Batches)
	}
	if c.Absent > 0 {
		say("Usage        %d batches have their records here and not their requests: of those nothing is said", c.Absent)
	}
	for _, gone := range c.Purges {
		say("Purged       %s of %s, by Change %d (record %d): %s; digest %s", gone.Class, gone.Month, gone.Number, gone.Sequence, purgeWords(gone), gone.Digest)
		say("             its hashes make that digest, which the log holds: nothing else of it is missing here")
	}
	switch m.Signer {
	case auditlog.SignerApart:
		say("Signer       the installation says: apart from what serves and from the database")
	case auditlog.SignerInProcess:
		say("Signer       in the process that serves: the operator can re-sign the unwitnessed tail")
	}
	if c.Trusted {
		say("Keys         from --log-keys: whoever holds the log's secret key signed these heads")
	} else {
		say("Keys         from the export itself: it agrees with itself, which does not tell who made it;")
		say("             give the log's key as you got it another way with --log-keys FILE")
	}
	for i := range c.Keys {
		say("             %s", keyWords(&c.Keys[i], c.Trusted))
	}
	if c.Untrusted > 0 {
		say("             %d earlier heads are signed by no key that is trusted: the log went that way all the same", c.Untrusted)
	}
	return text.String()
}

// purgeWords say what a purge took, and how much of that this export tells of.
func purgeWords(p *auditlog.PurgeUse) string {
	words := fmt.Sprintf("%d rows", p.Rows)
	if p.Requests > 0 {
		words += fmt.Sprintf(", %d requests of %s pico-dollars", p.Requests, p.ChargePico)
	}
	if p.Batches > 0 {
		words += fmt.Sprintf(", %d batches of them recorded here", p.Batches)
	}
	if p.Records > 0 {
		words += fmt.Sprintf(", the bytes of %d records here", p.Records)
	}
	return words
}

// keyWords say what one key signed, and by what right.
func keyWords(k *auditlog.KeyUse, independent bool) string {
	words := "no head that is here"
	if k.Heads > 0 {
		words = fmt.Sprintf("%d of these heads, of %d to %d records", k.Heads, k.From, k.To)
	}
	words = shortKey(k.Verifier) + " signed " + words
	switch {
	case k.Broken():
		return words + "; BREAK: it follows other keys and none of them named it, which only a witness can vouch for"
	case k.EndorsedBy != "":
		words += "; named by " + shortKey(k.EndorsedBy)
	}
	if independent && !k.Trusted {
		words += "; not trusted here"
	}
	return words
}

// shortKey is a key's hash: what tells keys of one name apart.
func shortKey(verifier string) string {
	if parts := strings.SplitN(verifier, "+", 3); len(parts) == 3 {
		return "key " + parts[1]
	}
	return verifier
}

// seen says who outside saw the log, as far as that is proved, and what nobody saw.
func (v *verification) seen() string {
	var text strings.Builder
	say := func(format string, args ...any) { _, _ = fmt.Fprintf(&text, format+"\n", args...) }
	if len(v.sights) == 0 {
		say("Witnesses    none: whoever holds the log key can sign all of it again")
		return text.String()
	}
	say("Witnesses    %d sights of heads that are here; of each witness the largest:", len(v.sights))
	told, largest, named := map[string]bool{}, v.heldHead.Size, int64(0)
	for i := range v.sights { // the largest come first
		s := &v.sights[i]
		switch s.Proof {
		case witness.Proved:
			largest = max(largest, s.Size)
		case witness.Named: // whoever carried the export can name an object: it counts once it was fetched
			named = max(named, s.Size)
		case witness.Agrees, witness.Unchecked:
		}
		if told[s.Witness] {
			continue
		}
		told[s.Witness] = true
		say("             %s: %d records, %s", s.Witness, s.Size, sightWords(s))
	}
	size := v.checked.Manifest.Size
	switch {
	case largest == 0:
		say("Unwitnessed  all %d records, as far as can be told: give the witnesses' keys with --witness-keys FILE", size)
	case largest < size:
		say("Unwitnessed  records %d to %d: whoever holds the log key could sign them again", largest, size-1)
	default:
		say("Unwitnessed  nothing: a witness saw the head of all of it")
	}
	if named > largest {
		say("             %d records, if the object is there: it is only named here", named)
	}
	return text.String()
}

func sightWords(s *witness.Found) string {
	switch s.Proof {
	case witness.Proved:
		return "at " + s.At.Format(time.RFC3339) + ", by its key from --witness-keys"
	case witness.Agrees:
		return "at " + s.At.Format(time.RFC3339) + ", by an authority nobody vouched for here: give its root with --witness-keys FILE"
	case witness.Named:
		return "kept as " + s.Object + ": fetch it there and give it as --checkpoint FILE"
	case witness.Unchecked:
	}
	return "NOT CHECKED: give its key with --witness-keys FILE"
}

// goesOn says that the log goes on from a head that was kept outside.
func (v *verification) goesOn() string {
	if v.held == nil {
		return ""
	}
	by := "no key that is trusted here signed it, but you kept it"
	if v.heldSigned {
		by = "a trusted key signed it"
	}
	return fmt.Sprintf("Held head    %d records, root %s: this log goes on from it, so that nothing before was changed, left out or added since (%s)\n", v.heldHead.Size, v.heldHead.Root, by)
}
