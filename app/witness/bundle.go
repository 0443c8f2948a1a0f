package witness

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
)

// Where an export of the log keeps what witnesses answered.
const (
	Directory = "witnesses"
	FileIndex = "witnesses/index.json" // a list of Sight
	maxSights = 10_000
)

// Sight is that a witness saw a head, as an export tells it.
type Sight struct {
	Size    int64     `json:"size"`
	Witness string    `json:"witness"`
	Kind    Kind      `json:"kind"`
	Object  string    `json:"object,omitempty"` // where the witness keeps it
	SeenAt  time.Time `json:"seen_at"`          // when it was asked, by the installation's clock
	File    string    `json:"file"`             // what came back, word for word
}

// FileName names the file of what came back: openssl and others read them as they are.
func FileName(size int64, n int, kind Kind) string {
	end := map[Kind]string{Object: ".checkpoint", Packet: ".checkpoint", Log: ".cosignature", Timestamp: ".tsr"}[kind]
	return path.Join(Directory, strconv.FormatInt(size, 10)+"-"+strconv.Itoa(n)+end)
}

// Keys are keys of witnesses that came another way than an export.
type Keys struct {
	cosigners []*Cosigner
	roots     *x509.CertPool
}

// ReadKeys reads cosignature keys, a line each, and certificates in PEM.
func ReadKeys(text []byte) (*Keys, error) {
	k := &Keys{}
	roots, n, err := Roots(text)
	if err != nil {
		return nil, err
	}
	if n > 0 {
		k.roots = roots
	}
	inside := false
	for _, line := range auditlog.Lines(text) {
		line = strings.TrimSpace(line)
		switch {
		case strings.HasPrefix(line, "-----BEGIN "):
			inside = true
		case strings.HasPrefix(line, "-----END "):
			inside = false
		case inside || line == "" || strings.HasPrefix(line, "#"):
		default:
			key, err := ParseCosigner(line)
			if err != nil {
				return nil, err
			}
			k.cosigners = append(k.cosigners, key)
		}
	}
	if k.roots == nil && len(k.cosigners) == 0 {
		return nil, fault.New(fault.KindInvalid, "witness_keys_empty", "It holds no key of a witness: cosignature keys, a line each, and certificates of timestamp authorities, in PEM.")
	}
	return k, nil
}

// Proof is what a sight was found to be.
type Proof string

// The proofs.
const (
	Proved    Proof = "proved"    // by a key that came another way
	Agrees    Proof = "agrees"    // with itself, by a key that came with it
	Named     Proof = "named"     // the object is named and its bytes are the head's: fetch it and compare
	Unchecked Proof = "unchecked" // its key is not at hand
)

// Found is one sight and what it was found to be.
type Found struct {
	Sight

	At    time.Time // that the witness itself says; zero: it says none, or that was not checked
	Proof Proof
}

// Check checks what an export of a log that was found good carries of its witnesses. Keys
// may be nil. The error names what is wrong.
func Check(bundle fs.FS, keys *Keys) ([]Found, error) {
	if _, err := fs.Stat(bundle, FileIndex); err != nil {
		return nil, nil //nolint:nilerr // exports of before there were witnesses have none
	}
	text, err := read(bundle, FileIndex)
	if err != nil {
		return nil, err
	}
	var sights []Sight
	if json.Unmarshal(text, &sights) != nil || len(sights) > maxSights {
		return nil, bad("%s is no list of sights", FileIndex)
	}
	list := make([]Found, 0, len(sights))
	for _, sight := range sights {
		if !plain(sight.Witness) || !plain(sight.Object) || !plain(sight.File) {
			return nil, bad("%s names a witness, an object or a file in what is no plain text", FileIndex)
		}
		head, err := headOf(bundle, sight.Size)
		if err != nil {
			return list, err
		}
		answer, err := read(bundle, sight.File)
		if err != nil {
			return list, err
		}
		found := Found{Sight: sight}
		if found.At, found.Proof, err = keys.check(&sight, head, answer); err != nil {
			return list, bad("%s: what %s answered for the head of %d records is not for it: %s", sight.File, sight.Witness, sight.Size, fault.From(err).Message)
		}
		list = append(list, found)
	}
	return list, nil
}

// plain tells whether a name can be printed in a line: nothing signs the index, and a line of
// its own would pass for one of the report's.
func plain(name string) bool {
	return len(name) <= maxName && utf8.ValidString(name) && !strings.ContainsFunc(name, func(r rune) bool { return !unicode.IsPrint(r) })
}

const maxName = 4096

func (k *Keys) check(sight *Sight, head, answer []byte) (time.Time, Proof, error) {
	switch sight.Kind {
	case Object, Packet:
		if !bytes.Equal(head, answer) {
			return time.Time{}, "", ErrOther
		}
		return time.Time{}, Named, nil
	case Log:
		if k == nil {
			break
		}
		for _, key := range k.cosigners {
			if key.Name() == sight.Witness {
				at, err := key.Check(head, answer)
				return at, Proved, err
			}
		}
	case Timestamp:
		if k == nil || k.roots == nil {
			at, err := CheckTimestamp(head, answer, nil, nil)
			return at, Agrees, err
		}
		at, err := CheckTimestamp(head, answer, k.roots, nil)
		return at, Proved, err
	}
	return time.Time{}, Unchecked, nil
}

// headOf reads the head of a size: the export's own, or an earlier one.
func headOf(bundle fs.FS, size int64) ([]byte, error) {
	head, err := read(bundle, auditlog.FileCheckpoint)
	if err != nil {
		return nil, err
	}
	if parts := strings.SplitN(string(head), "\n", 3); len(parts) == 3 && parts[1] == strconv.FormatInt(size, 10) {
		return head, nil
	}
	return read(bundle, path.Join(auditlog.DirectoryHeads, strconv.FormatInt(size, 10)+".txt"))
}

func bad(why string, args ...any) error {
	return &auditlog.FindingError{Sequence: -1, Why: fmt.Sprintf(why, args...)}
}

const maxFile = 8 << 20

func read(bundle fs.FS, name string) ([]byte, error) {
	file, err := bundle.Open(name)
	if err != nil {
		return nil, bad("%.200s is missing", name)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", name, err)
	}
	if len(text) > maxFile {
		return nil, bad("%s is longer than it can be", name)
	}
	return text, nil
}
