package export

import (
	"archive/zip"
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"

	"tollbook/app/fault"
)

// Format names the layout of a manifest.
const Format = "tollbook manifest 1"

// Pair is a named value: a filter, or a control total.
type Pair struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// RunBy is who ran a report.
type RunBy struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Roles string `json:"roles"`
}

// Sequence is the range of the audit log that was there when the report ran.
type Sequence struct {
	First   int64 `json:"first"`
	Last    int64 `json:"last"`    // -1: nothing had its place yet
	Waiting int64 `json:"waiting"` // records that had none
}

// Checkpoint is a signed head of the audit log.
type Checkpoint struct {
	Size int64  `json:"size"`
	Root string `json:"root"` // base64
}

// Posted is an entry of the books that a file holds.
type Posted struct {
	ID     string `json:"id"`
	Number int64  `json:"number"`
}

// Manifest is what is known of one file.
type Manifest struct {
	Format        string    `json:"format"`
	Report        string    `json:"report"`
	ReportVersion int       `json:"report_version"`
	CodeVersion   string    `json:"code_version"`
	Tenant        string    `json:"tenant"`
	TenantID      string    `json:"tenant_id"`
	Filters       []Pair    `json:"filters"`
	AsOf          time.Time `json:"as_of"`
	KnownAt       time.Time `json:"known_at"`
	RunBy         RunBy     `json:"run_by"`
	RunAt         time.Time `json:"run_at"`
	Columns       []string  `json:"columns"`
	Rows          int       `json:"rows"`
	Part          string    `json:"part,omitempty"` // what part of the report the rows are; empty: all of it
	ControlTotals []Pair    `json:"control_totals"`
	AuditSequence Sequence  `json:"audit_sequence"`
	// What a journal's file holds, who let it be exported, and how far the log was signed.
	Journals   []string    `json:"journals,omitempty"`
	Entries    []Posted    `json:"entries,omitempty"`
	Approvals  []string    `json:"approvals,omitempty"`
	Checkpoint *Checkpoint `json:"checkpoint,omitempty"`
	File       string      `json:"file"`
	Bytes      int         `json:"bytes"`
	SHA256     string      `json:"sha256"`
}

// Of completes a manifest for the bytes of its file.
func (m Manifest) Of(file []byte) Manifest {
	digest := sha256.Sum256(file)
	m.Format, m.Bytes, m.SHA256 = Format, len(file), hex.EncodeToString(digest[:])
	m.AsOf, m.KnownAt, m.RunAt = m.AsOf.UTC(), m.KnownAt.UTC(), m.RunAt.UTC()
	if m.Filters == nil {
		m.Filters = []Pair{}
	}
	if m.ControlTotals == nil {
		m.ControlTotals = []Pair{}
	}
	return m
}

// JSON is the manifest as bytes, on one line.
func (m Manifest) JSON() ([]byte, error) {
	document, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode manifest: %w", err)
	}
	return append(document, '\n'), nil
}

// OnePage is what part of a list one page of it is.
const OnePage = "one page of a longer list"

// The headers that carry a manifest beside its file.
const (
	HeaderManifest = "X-Tollbook-Manifest" // base64 of the JSON
	HeaderDigest   = "X-Tollbook-SHA256"
	// maxHeader keeps the header within what proxies pass on.
	maxHeader = 6 << 10
)

// Headers are the manifest beside its file. One that is longer than proxies pass on is
// left out; the digest always fits.
func (m Manifest) Headers() (map[string]string, error) {
	document, err := m.JSON()
	if err != nil {
		return nil, err
	}
	headers := map[string]string{HeaderDigest: m.SHA256}
	if text := base64.StdEncoding.EncodeToString(document); len(text) <= maxHeader {
		headers[HeaderManifest] = text
	}
	return headers, nil
}

// maxFilters and maxFilter bound what a manifest repeats of a URL.
const (
	maxFilters = 32
	maxFilter  = 256
)

// Filters are the parameters of a URL as they were given, and what it left to choose.
func Filters(given url.Values, chosen map[string]string) []Pair {
	values := map[string]string{}
	maps.Copy(values, chosen)
	for name := range given {
		if value := given.Get(name); value != "" {
			values[name] = value
		}
	}
	list := []Pair{}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if len(list) < maxFilters {
			list = append(list, Pair{Name: cut(name), Value: cut(values[name])})
		}
	}
	return list
}

func cut(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxFilter)], "")
}

// ErrManifest reports a file that is not the one a manifest is about.
var ErrManifest = fault.New(fault.KindConflict, "manifest_mismatch", "The file is not the one the manifest is about.")

// ReadManifest reads a manifest as JSON printed it.
func ReadManifest(document []byte) (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(document, &m); err != nil || m.Format != Format {
		return Manifest{}, ErrManifest.Because(err)
	}
	return m, nil
}

// Verify reads a manifest and holds a file to it.
func Verify(document, file []byte) (Manifest, error) {
	m, err := ReadManifest(document)
	if err != nil {
		return Manifest{}, err
	}
	if again := m.Of(file); again.SHA256 != m.SHA256 || again.Bytes != m.Bytes {
		return Manifest{}, ErrManifest
	}
	return m, nil
}

// Suffix is what a file's manifest is called after it.
const Suffix = ".manifest.json"

// Archive holds a file and its manifest.
func Archive(m Manifest, file []byte) ([]byte, error) {
	document, err := m.JSON()
	if err != nil {
		return nil, err
	}
	return Bind([]Part{{m.File, m.RunAt, file}, {m.File + Suffix, m.RunAt, document}})
}

// Part is one file of an archive, with the time it bears there.
type Part struct {
	Name    string
	At      time.Time
	Content []byte
}

// Store puts parts into an archive as Bind does, but none is compressed: the same parts are the
// same bytes, whatever a later release of the compressor makes of them.
func Store(parts []Part) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, part := range parts {
		size := uint64(len(part.Content))
		header := &zip.FileHeader{
			Name: part.Name, Method: zip.Store, CreatorVersion: storedVersion, ReaderVersion: storedVersion, CRC32: crc32.ChecksumIEEE(part.Content), CompressedSize64: size, UncompressedSize64: size,
		}
		header.SetModTime(part.At.UTC())  //nolint:staticcheck // what is written raw takes its time from these fields alone
		entry, err := w.CreateRaw(header) // with its size before it: readers of streams need that where nothing is compressed
		if err != nil {
			return nil, fmt.Errorf("archive %s: %w", part.Name, err)
		}
		if _, err := entry.Write(part.Content); err != nil {
			return nil, fmt.Errorf("archive %s: %w", part.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("close archive: %w", err)
	}
	return out.Bytes(), nil
}

// storedVersion is that of the format of archives which stored parts need, 2.0.
const storedVersion = 20

// Bind puts parts into an archive, in their order.
func Bind(parts []Part) ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	for _, part := range parts {
		entry, err := w.CreateHeader(&zip.FileHeader{Name: part.Name, Method: zip.Deflate, Modified: part.At})
		if err != nil {
			return nil, fmt.Errorf("archive %s: %w", part.Name, err)
		}
		if _, err := io.Copy(entry, bytes.NewReader(part.Content)); err != nil {
			return nil, fmt.Errorf("archive %s: %w", part.Name, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("close archive: %w", err)
	}
	return out.Bytes(), nil
}
