package auditlog_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"tollbook/app/auditlog"
)

const bundleOrigin = "books.example/log/ten_1"

// export makes one of records from..through of a log of 40, the 12th of which is a batch
// of usage.
func export(t *testing.T, signer note.Signer, key string, from, through int64) fstest.MapFS {
	t.Helper()
	usage := []byte("{\"id\":\"evt_1\"}\n{\"id\":\"evt_2\"}\n{\"id\":\"evt_3\"}\n")
	var lines []auditlog.Hash
	for line := range bytes.Lines(usage) {
		lines = append(lines, auditlog.Leaf(bytes.TrimSuffix(line, []byte("\n"))))
	}
	root := auditlog.Root(lines)
	g := &grown{}
	var records [][]byte
	for i := range 40 {
		record := fmt.Appendf(nil, `{"action":"change.applied","detail":{"root":7},"id":"rec_%d","subject":"chg_%d","v":1}`, i, i)
		if i == 12 {
			record = fmt.Appendf(nil, `{"action":"usage.batch","detail":{"requests":3,"root":"%s"},"id":"rec_12","subject":"bat_1","v":1}`, hex.EncodeToString(root[:]))
		}
		records = append(records, record)
		g.add(t, auditlog.Leaf(record))
	}
	bundle := fstest.MapFS{}
	put := func(name string, text []byte) { bundle[name] = &fstest.MapFile{Data: text} }
	sign := func(size int64) []byte {
		root, err := auditlog.RootAt(size, g.read)
		require.NoError(t, err)
		signed, err := auditlog.Checkpoint{Origin: bundleOrigin, Size: size, Root: root}.Sign(signer)
		require.NoError(t, err)
		return signed
	}
	text := func(hashes []auditlog.Hash) []byte {
		var b bytes.Buffer
		for _, h := range hashes {
			b.WriteString(h.String() + "\n")
		}
		return b.Bytes()
	}
	manifest, err := json.Marshal(auditlog.BundleManifest{Format: auditlog.BundleFormat, Origin: bundleOrigin, From: from, Through: through, Size: 40, Usage: true})
	require.NoError(t, err)
	put(auditlog.FileManifest, manifest)
	put(auditlog.FileRecords, append(bytes.Join(records[from:through], []byte("\n")), '\n'))
	put(auditlog.FileLeaves, text(g.leaves[from:through]))
	outside, err := auditlog.ProveSpan(40, from, through, g.read)
	require.NoError(t, err)
	put(auditlog.FileOutside, text(outside))
	put(auditlog.FileCheckpoint, sign(40))
	put(auditlog.FileKeys, []byte(key+"\n"))
	for _, size := range []int64{7, 21} {
		proof, err := auditlog.ProveGrowth(40, size, g.read)
		require.NoError(t, err)
		put(fmt.Sprintf("%s/%d.txt", auditlog.DirectoryHeads, size), sign(size))
		put(fmt.Sprintf("%s/%d.txt", auditlog.DirectoryGrowth, size), text(proof))
	}
	put(auditlog.DirectoryUsage+"/bat_1.jsonl", usage)
	return bundle
}

func TestAnExportThatIsWholeIsGood(t *testing.T) {
	t.Parallel()
	signer, _, key := keyPair(t, bundleOrigin)
	for _, span := range [][2]int64{{0, 40}, {5, 20}, {12, 13}} {
		checked, err := auditlog.Check(export(t, signer, key, span[0], span[1]), []string{key})
		require.NoError(t, err)
		require.Equal(t, span[1]-span[0], checked.Records)
		require.Equal(t, 2, checked.Checkpoints)
		require.Equal(t, 1, checked.Batches)
		require.EqualValues(t, 3, checked.Requests)
		require.True(t, checked.Trusted)
	}
	checked, err := auditlog.Check(export(t, signer, key, 0, 40), nil)
	require.NoError(t, err)
	require.False(t, checked.Trusted)
}

// TestUsageThatIsNotThereIsCounted takes a batch's requests out and edits the manifest, which
// nothing signs, so that none is promised.
func TestUsageThatIsNotThereIsCounted(t *testing.T) {
	t.Parallel()
	signer, _, key := keyPair(t, bundleOrigin)
	bundle := export(t, signer, key, 5, 20)
	delete(bundle, auditlog.DirectoryUsage+"/bat_1.jsonl")
	manifest := bundle[auditlog.FileManifest]
	manifest.Data = bytes.Replace(manifest.Data, []byte(`"usage":true`), []byte(`"usage":false`), 1)
	checked, err := auditlog.Check(bundle, []string{key})
	require.NoError(t, err)
	require.Equal(t, 1, checked.Absent)
	require.Zero(t, checked.Batches)
}

// TestATamperedExportNamesTheFirstBadRecord alters an export in every way its maker, or
// who carried it, could.
func TestATamperedExportNamesTheFirstBadRecord(t *testing.T) {
	t.Parallel()
	signer, _, key := keyPair(t, bundleOrigin)
	forger, _, _ := keyPair(t, bundleOrigin)
	whole := export(t, signer, key, 5, 20)
	edit := func(name, old, with string) func(fstest.MapFS) {
		return func(b fstest.MapFS) {
			require.Contains(t, string(b[name].Data), old)
			b[name] = &fstest.MapFile{Data: []byte(strings.Replace(string(b[name].Data), old, with, 1))}
		}
	}
	lines := func(name string, change func([]string) []string) func(fstest.MapFS) {
		return func(b fstest.MapFS) {
			list := change(strings.Split(strings.TrimSuffix(string(b[name].Data), "\n"), "\n"))
			b[name] = &fstest.MapFile{Data: []byte(strings.Join(list, "\n") + "\n")}
		}
	}
	swap := func(l []string) []string { l[2], l[3] = l[3], l[2]; return l }
	drop := func(l []string) []string { return append(l[:4], l[5:]...) }
	double := func(l []string) []string { return append(l[:5], l[4:]...) }
	cut := func(l []string) []string { return l[:len(l)-1] }
	more := func(l []string) []string { return append(l, l[0]) }
	for name, c := range map[string]struct {
		change   func(fstest.MapFS)
		sequence int64
		why      string
	}{
		"record edited":      {edit(auditlog.FileRecords, `"chg_9"`, `"chg_8"`), 9, "not those that the log holds"},
		"records swapped":    {lines(auditlog.FileRecords, swap), 7, "not those that the log holds"},
		"record dropped":     {lines(auditlog.FileRecords, drop), 9, "not those that the log holds"},
		"record doubled":     {lines(auditlog.FileRecords, double), 10, "not those that the log holds"},
		"records cut":        {lines(auditlog.FileRecords, cut), 19, "it is missing"},
		"records added":      {lines(auditlog.FileRecords, more), -1, "goes on after the last record"},
		"leaf edited":        {lines(auditlog.FileLeaves, swap), -1, "do not make the checkpoint's root"},
		"leaf dropped":       {lines(auditlog.FileLeaves, drop), -1, "has 14 hashes"},
		"outside edited":     {lines(auditlog.FileOutside, more), -1, "do not make the checkpoint's root"},
		"record with more":   {edit(auditlog.FileRecords, `"chg_9","v":1}`, "\"chg_9\",\"v\":1}\r"), 9, "not those that the log holds"},
		"usage added":        {lines("usage/bat_1.jsonl", more), 12, "has more requests than the 3"},
		"usage with more":    {edit("usage/bat_1.jsonl", `"evt_2"}`, "\"evt_2\"}\r"), 12, "not those whose root the record holds"},
		"usage edited":       {edit("usage/bat_1.jsonl", "evt_2", "evt_4"), 12, "not those whose root the record holds"},
		"usage dropped":      {lines("usage/bat_1.jsonl", cut), 12, "has 2 requests, but the record says 3"},
		"usage missing":      {func(b fstest.MapFS) { delete(b, "usage/bat_1.jsonl") }, 12, "usage/bat_1.jsonl is missing"},
		"usage of nobody":    {func(b fstest.MapFS) { b["usage/bat_9.jsonl"] = b["usage/bat_1.jsonl"] }, -1, "belongs to no record"},
		"other span":         {edit(auditlog.FileManifest, `"from":5,"through":20`, `"from":6,"through":21`), -1, "do not make the checkpoint's root"},
		"other size":         {edit(auditlog.FileManifest, `"size":40`, `"size":41`), -1, "another size"},
		"no format":          {edit(auditlog.FileManifest, auditlog.BundleFormat, "x"), -1, "is not that of an export"},
		"head edited":        {edit(auditlog.FileCheckpoint, "\n40\n", "\n41\n"), -1, "No key that is trusted here"},
		"head missing":       {func(b fstest.MapFS) { delete(b, auditlog.FileCheckpoint) }, -1, "checkpoint.txt is missing"},
		"earlier head moved": {func(b fstest.MapFS) { b["checkpoints/21.txt"] = b["checkpoints/7.txt"] }, -1, "than its name says"},
		"growth edited":      {lines("growth/21.txt", swap), -1, "is no beginning of the log"},
		"head signed again": {func(b fstest.MapFS) {
			signed, err := auditlog.Checkpoint{Origin: bundleOrigin, Size: 21, Root: leaf(3)}.Sign(signer)
			require.NoError(t, err)
			b["checkpoints/21.txt"] = &fstest.MapFile{Data: signed}
		}, -1, "is no beginning of the log"},
		"signed by another": {func(b fstest.MapFS) {
			maps.Copy(b, export(t, forger, key, 5, 20))
		}, -1, "No key that is trusted here"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bundle := maps.Clone(whole)
			c.change(bundle)
			_, err := auditlog.Check(bundle, []string{key})
			var finding *auditlog.FindingError
			require.ErrorAs(t, err, &finding)
			require.Equal(t, c.sequence, finding.Sequence, finding.Error())
			require.Contains(t, finding.Error(), c.why)
		})
	}
	for name := range whole {
		if strings.Contains(name, "/") {
			continue
		}
		bundle := maps.Clone(whole)
		delete(bundle, name)
		_, err := auditlog.Check(fs.FS(bundle), nil)
		require.Error(t, err, name)
	}
}

// endless is a file of one line again and again, and says that it is as long as a file
// can be.
type endless struct {
	line string
	read int
}

func (e *endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = e.line[(e.read+i)%len(e.line)]
	}
	e.read += len(p)
	return len(p), nil
}

func (e *endless) Stat() (fs.FileInfo, error) { return e, nil }
func (*endless) Close() error                 { return nil }
func (*endless) Name() string                 { return "endless" }
func (*endless) Size() int64                  { return 1 << 62 }
func (*endless) Mode() fs.FileMode            { return 0o400 }
func (*endless) ModTime() time.Time           { return time.Time{} }
func (*endless) IsDir() bool                  { return false }
func (*endless) Sys() any                     { return nil }

// swapped is a bundle in which one file is another.
type swapped struct {
	fstest.MapFS
	name string
	file *endless
}

func (s swapped) Open(name string) (fs.File, error) {
	if name == s.name {
		return s.file, nil
	}
	return s.MapFS.Open(name)
}

// TestABundleThatNeverEndsIsRefusedEarly has files that unpack to more than there is
// memory for: a check reads no further than to where they are wrong.
func TestABundleThatNeverEndsIsRefusedEarly(t *testing.T) {
	t.Parallel()
	signer, _, key := keyPair(t, bundleOrigin)
	for name, c := range map[string]struct{ line, why string }{
		auditlog.FileLeaves:                      {"x\n", "leaves.txt, line 1, is no hash"},
		auditlog.FileOutside:                     {strings.Repeat("x", 500), "outside.txt, line 1, is no hash"},
		auditlog.DirectoryUsage + "/bat_1.jsonl": {"{}\n", "has more requests than the 3"},
	} {
		bundle := swapped{export(t, signer, key, 5, 20), name, &endless{line: c.line}}
		_, err := auditlog.Check(bundle, []string{key})
		require.ErrorContains(t, err, c.why)
		require.Less(t, bundle.file.read, 1<<20, name)
	}
}
