package witness_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/note"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/witness"
)

// cosigner is another log that signs what it saw, written after C2SP's words and not after
// this package.
type cosigner struct {
	name    string
	private ed25519.PrivateKey
	hash    uint32
	key     string
}

func newCosigner(name string, seed byte) cosigner {
	private := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{seed}, ed25519.SeedSize))
	public, _ := private.Public().(ed25519.PublicKey)
	raw := append([]byte{4}, public...)
	sum := sha256.Sum256([]byte(name + "\n" + string(raw)))
	hash := binary.BigEndian.Uint32(sum[:4])
	return cosigner{name, private, hash, fmt.Sprintf("%s+%08x+%s", name, hash, base64.StdEncoding.EncodeToString(raw))}
}

// line is what it answers for a text at a time.
func (c cosigner) line(text string, at int64) []byte {
	signature := ed25519.Sign(c.private, fmt.Appendf(nil, "cosignature/v1\ntime %d\n%s", at, text))
	raw := binary.BigEndian.AppendUint32(nil, c.hash)
	raw = binary.BigEndian.AppendUint64(raw, uint64(at))
	return []byte("— " + c.name + " " + base64.StdEncoding.EncodeToString(append(raw, signature...)) + "\n")
}

const seenAt = 1_790_000_000

// headOf is a signed head of a size: the text that is signed, and the whole.
func headOf(t *testing.T, size int) (text string, head []byte) {
	t.Helper()
	secretKey, _, err := note.GenerateKey(strings.NewReader(strings.Repeat("a seed that is long enough ", 4)), "log.test")
	require.NoError(t, err)
	signer, err := note.NewSigner(secretKey)
	require.NoError(t, err)
	text = fmt.Sprintf("log.test\n%d\n%s\n", size, base64.StdEncoding.EncodeToString(bytes.Repeat([]byte{1}, 32)))
	head, err = note.Sign(&note.Note{Text: text}, signer)
	require.NoError(t, err)
	return text, head
}

func TestACosignatureIsOfItsHeadAndItsWitness(t *testing.T) {
	t.Parallel()
	text, head := headOf(t, 12)
	mine, other := newCosigner("witness.test", 1), newCosigner("witness.test", 2)
	key, err := witness.ParseCosigner(mine.key)
	require.NoError(t, err)
	require.Equal(t, mine.key, key.String())
	require.Equal(t, "witness.test", key.Name())
	good := mine.line(text, seenAt)
	at, err := key.Check(head, good)
	require.NoError(t, err)
	require.Equal(t, time.Unix(seenAt, 0).UTC(), at)
	at, err = key.Check(head, append(other.line(text, seenAt+1), good...))
	require.NoError(t, err, "beside others' lines")
	require.Equal(t, time.Unix(seenAt, 0).UTC(), at)

	_, another := headOf(t, 13)
	for name, c := range map[string]struct{ head, lines []byte }{
		"another head":    {another, good},
		"another's key":   {head, other.line(text, seenAt)},
		"of another text": {head, mine.line(text+"more\n", seenAt)},
		"no line's end":   {head, bytes.TrimSuffix(good, []byte("\n"))},
		"nothing":         {head, nil},
		"too long":        {head, append(bytes.Repeat([]byte("—\n"), witness.MaxReceipt), good...)},
	} {
		_, err := key.Check(c.head, c.lines)
		require.Equal(t, "cosignature_wrong", fault.From(err).Code, name)
	}
	// Whichever bit of it is turned, it is not one any more.
	raw, err := base64.StdEncoding.DecodeString(strings.TrimSpace(strings.Fields(string(good))[2]))
	require.NoError(t, err)
	for i := range raw {
		bent := bytes.Clone(raw)
		bent[i] ^= 1
		_, err := key.Check(head, []byte("— witness.test "+base64.StdEncoding.EncodeToString(bent)+"\n"))
		require.Error(t, err, i)
	}
}

func TestAKeyOfAWitnessIsOneOfItsKind(t *testing.T) {
	t.Parallel()
	good := newCosigner("witness.test", 1).key
	parts := strings.SplitN(good, "+", 3)
	raw, err := base64.StdEncoding.DecodeString(parts[2])
	require.NoError(t, err)
	asNote := "witness.test+" + parts[1] + "+" + base64.StdEncoding.EncodeToString(append([]byte{1}, raw[1:]...))
	for _, bad := range []string{
		"", "witness.test", "+" + parts[1] + "+" + parts[2], "a b+" + parts[1] + "+" + parts[2], "witness.test+00000000+" + parts[2], "witness.test+" + parts[1] + "0+" + parts[2],
		"witness.test+" + parts[1] + "+?", "witness.test+" + parts[1] + "+" + base64.StdEncoding.EncodeToString(raw[:30]), asNote, "other.test+" + parts[1] + "+" + parts[2],
	} {
		_, err := witness.ParseCosigner(bad)
		require.Equal(t, "cosigner_syntax", fault.From(err).Code, bad)
	}
	_, err = witness.ReadKeys([]byte("# mine\n\n" + good + "\n"))
	require.NoError(t, err)
	_, err = witness.ReadKeys([]byte("# none\n"))
	require.Equal(t, "witness_keys_empty", fault.From(err).Code)
	_, err = witness.ReadKeys([]byte("not a key\n"))
	require.Equal(t, "cosigner_syntax", fault.From(err).Code)
	_, err = witness.ReadKeys([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	require.Equal(t, "certificate_syntax", fault.From(err).Code)
}

// TestWhatAnExportCarriesOfItsWitnesses checks sights of each kind, and what is wrong with them.
func TestWhatAnExportCarriesOfItsWitnesses(t *testing.T) {
	t.Parallel()
	text, head := headOf(t, 12)
	earlierText, earlier := headOf(t, 5)
	mine := newCosigner("witness.test", 1)
	keys, err := witness.ReadKeys([]byte(mine.key + "\n"))
	require.NoError(t, err)
	export := func(bend func(files fstest.MapFS, sights []witness.Sight) []witness.Sight) fstest.MapFS {
		files := fstest.MapFS{
			auditlog.FileCheckpoint:                        {Data: head},
			auditlog.DirectoryHeads + "/5.txt":             {Data: earlier},
			witness.FileName(12, 1, witness.Log):           {Data: mine.line(text, seenAt)},
			witness.FileName(5, 2, witness.Log):            {Data: mine.line(earlierText, seenAt-60)},
			witness.FileName(12, 3, witness.Object):        {Data: head},
			witness.FileName(12, 4, witness.Log) + ".else": {Data: []byte("whatever\n")},
		}
		sights := []witness.Sight{
			{Size: 12, Witness: "witness.test", Kind: witness.Log, File: witness.FileName(12, 1, witness.Log)},
			{Size: 5, Witness: "witness.test", Kind: witness.Log, File: witness.FileName(5, 2, witness.Log)},
			{Size: 12, Witness: "bucket", Kind: witness.Object, Object: "heads/12", File: witness.FileName(12, 3, witness.Object)},
			{Size: 12, Witness: "stranger.test", Kind: witness.Log, File: witness.FileName(12, 4, witness.Log) + ".else"},
		}
		if bend != nil {
			sights = bend(files, sights)
		}
		index, err := json.Marshal(sights)
		require.NoError(t, err)
		files[witness.FileIndex] = &fstest.MapFile{Data: index}
		return files
	}
	found, err := witness.Check(export(nil), keys)
	require.NoError(t, err)
	require.Equal(t, []witness.Proof{witness.Proved, witness.Proved, witness.Named, witness.Unchecked}, []witness.Proof{found[0].Proof, found[1].Proof, found[2].Proof, found[3].Proof})
	require.Equal(t, time.Unix(seenAt-60, 0).UTC(), found[1].At)
	require.True(t, found[2].At.IsZero())
	found, err = witness.Check(export(nil), nil)
	require.NoError(t, err)
	require.Equal(t, witness.Unchecked, found[0].Proof, "by no key that came another way")
	found, err = witness.Check(fstest.MapFS{}, keys)
	require.NoError(t, err, "an export of before there were witnesses")
	require.Empty(t, found)

	for name, bend := range map[string]func(fstest.MapFS, []witness.Sight) []witness.Sight{
		"a cosignature of another head": func(files fstest.MapFS, s []witness.Sight) []witness.Sight {
			files[s[0].File] = files[s[1].File]
			return s
		},
		"another object": func(files fstest.MapFS, s []witness.Sight) []witness.Sight {
			files[s[2].File] = &fstest.MapFile{Data: earlier}
			return s
		},
		"a file that is missing": func(files fstest.MapFS, s []witness.Sight) []witness.Sight { delete(files, s[2].File); return s },
		"a head that is missing": func(files fstest.MapFS, s []witness.Sight) []witness.Sight {
			delete(files, auditlog.DirectoryHeads+"/5.txt")
			return s
		},
		"a name of two lines": func(_ fstest.MapFS, s []witness.Sight) []witness.Sight {
			s[0].Witness = "witness.test\nproved by everybody"
			return s
		},
		"a name without end": func(_ fstest.MapFS, s []witness.Sight) []witness.Sight {
			s[0].Object = strings.Repeat("x", 5000)
			return s
		},
		"an answer without end": func(files fstest.MapFS, s []witness.Sight) []witness.Sight {
			files[s[2].File] = &fstest.MapFile{Data: make([]byte, 9<<20)}
			return s
		},
		"no timestamp": func(_ fstest.MapFS, s []witness.Sight) []witness.Sight { s[2].Kind = witness.Timestamp; return s },
	} {
		_, err := witness.Check(export(bend), keys)
		var finding *auditlog.FindingError
		require.ErrorAs(t, err, &finding, name)
	}
	broken := export(nil)
	broken[witness.FileIndex] = &fstest.MapFile{Data: []byte("{")}
	_, err = witness.Check(broken, keys)
	require.ErrorContains(t, err, "no list of sights")
}

func TestATimestampRequestAsksForTheHeadsDigest(t *testing.T) {
	t.Parallel()
	_, head := headOf(t, 12)
	request, nonce, err := witness.TimestampRequest(head)
	require.NoError(t, err)
	digest := sha256.Sum256(head)
	require.True(t, bytes.Contains(request, digest[:]))
	require.Positive(t, nonce.Sign())
	_, other, err := witness.TimestampRequest(head)
	require.NoError(t, err)
	require.NotEqual(t, nonce, other, "each asks anew")
	for _, bad := range [][]byte{nil, []byte("x"), make([]byte, witness.MaxReceipt+1)} {
		_, err := witness.CheckTimestamp(head, bad, nil, nil)
		require.Equal(t, "timestamp_wrong", fault.From(err).Code)
	}
}

func TestARefusalIsToldFromSilence(t *testing.T) {
	t.Parallel()
	require.True(t, witness.Refuses(fmt.Errorf("ask: %w", &witness.AheadError{Size: 20})))
	require.True(t, witness.Refuses(fmt.Errorf("ask: %w", witness.ErrOther)))
	require.False(t, witness.Refuses(errors.New("no route to host")))
	require.False(t, witness.Refuses(nil))
	require.ErrorContains(t, &witness.AheadError{Size: 20}, "20 records")
}
