package attest_test

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"
	"golang.org/x/mod/sumdb/tlog"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/app/witness"
	"tollbook/jobs/attest"
	"tollbook/simulator/notary"
)

// signedLog is a log in memory whose heads are signed.
type signedLog struct {
	tenant    id.Tenant
	authority *auditlog.Authority
	stored    []tlog.Hash
	size      int64
}

func newLog(t *testing.T) *signedLog {
	t.Helper()
	authority, err := auditlog.NewAuthority(bytes.Repeat([]byte{7}, auditlog.SeedBytes))
	require.NoError(t, err)
	return &signedLog{tenant: id.NewTenant(time.Now()), authority: authority}
}

func (l *signedLog) add(t *testing.T, word string, n int) {
	t.Helper()
	for i := range n {
		hashes, err := tlog.StoredHashes(l.size, []byte(word+strings.Repeat("x", i)), l.read())
		require.NoError(t, err)
		l.stored, l.size = append(l.stored, hashes...), l.size+1
	}
}

func (l *signedLog) read() tlog.HashReaderFunc {
	return func(indexes []int64) (out []tlog.Hash, err error) {
		for _, i := range indexes {
			out = append(out, l.stored[i])
		}
		return out, nil
	}
}

func (l *signedLog) head(t *testing.T, before int64) *witness.Head {
	t.Helper()
	root, err := tlog.TreeHash(l.size, l.read())
	require.NoError(t, err)
	signed, err := l.authority.SignHead(l.tenant, l.size, root)
	require.NoError(t, err)
	size := l.size
	return &witness.Head{Tenant: l.tenant, Size: size, Root: root, Message: signed.Message, Before: before, Prove: func(_ context.Context, from int64) ([]auditlog.Hash, error) {
		return tlog.ProveTree(size, from, l.read())
	}}
}

func (l *signedLog) key(t *testing.T) string {
	t.Helper()
	signed, err := l.authority.SignHead(l.tenant, 1, auditlog.Hash{})
	require.NoError(t, err)
	return signed.Keys[0].Verifier
}

func store(t *testing.T) *notary.Store {
	t.Helper()
	program, err := exec.CommandContext(t.Context(), "../../scripts/versitygw").Output()
	require.NoError(t, err)
	s, err := notary.StartStore(context.WithoutCancel(t.Context()), strings.TrimSpace(string(program)), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	return s
}

func objects(t *testing.T, s *notary.Store, bucket string, now func() time.Time) *attest.Objects {
	t.Helper()
	endpoint, err := url.Parse(s.URL)
	require.NoError(t, err)
	o, err := attest.NewObjects(attest.S3{Endpoint: endpoint, Region: "us-east-1", AccessKey: s.AccessKey, SecretKey: secret.NewText(s.SecretKey), Bucket: bucket, Prefix: "tollbook/heads", Retain: 7 * 365 * 24 * time.Hour}, now)
	require.NoError(t, err)
	return o
}

// TestAnObjectStoreKeepsAHeadForGood speaks to a real S3 server.
func TestAnObjectStoreKeepsAHeadForGood(t *testing.T) {
	t.Parallel()
	s := store(t)
	o := objects(t, s, s.Bucket, time.Now)
	require.Equal(t, "s3://heads/tollbook/heads", o.Name())
	l := newLog(t)
	held, err := o.Held(t.Context(), l.tenant)
	require.NoError(t, err)
	require.Empty(t, held.Sizes)
	l.add(t, "a", 9)
	first := l.head(t, 0)
	receipt, err := o.See(t.Context(), first)
	require.NoError(t, err)
	require.Equal(t, first.Message, receipt.Bytes)
	require.Contains(t, receipt.Object, "s3://heads/tollbook/heads/"+l.tenant.String()+"/0000000000000000009.checkpoint?versionId=")
	require.Contains(t, receipt.Object, " until "+time.Now().UTC().Add(7*365*24*time.Hour).Format("2006"))
	again, err := o.See(t.Context(), first)
	require.NoError(t, err, "whoever wrote it first may have died with the answer")
	require.Equal(t, receipt, again)

	fork := newLog(t)
	fork.tenant = l.tenant
	fork.add(t, "b", 9)
	_, err = o.See(t.Context(), fork.head(t, 0))
	require.ErrorIs(t, err, witness.ErrOther, "another head of the same size")
	l.add(t, "c", 91)
	_, err = o.See(t.Context(), l.head(t, 9))
	require.NoError(t, err)

	client, err := minio.New(strings.TrimPrefix(s.URL, "http://"), &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, ""), Region: "us-east-1"})
	require.NoError(t, err)
	key, version, _ := strings.Cut(strings.TrimPrefix(strings.Fields(receipt.Object)[0], "s3://heads/"), "?versionId=")
	err = client.RemoveObject(t.Context(), s.Bucket, key, minio.RemoveObjectOptions{VersionID: version})
	require.Error(t, err, "it is locked, for the store's owner too")
	require.NoError(t, client.RemoveObject(t.Context(), s.Bucket, key, minio.RemoveObjectOptions{}), "a marker says that it is deleted")
	other := fork.head(t, 0).Message
	_, err = client.PutObject(t.Context(), s.Bucket, key, bytes.NewReader(other), int64(len(other)), minio.PutObjectOptions{Mode: minio.Compliance, RetainUntilDate: time.Now().Add(time.Hour), SendContentMd5: true})
	require.NoError(t, err, "and another version lies over it")
	held, err = o.Held(t.Context(), l.tenant)
	require.NoError(t, err)
	require.Equal(t, []int64{9, 100}, held.Sizes)
	kept, err := held.Read(t.Context(), 9)
	require.NoError(t, err)
	require.Equal(t, first.Message, kept, "what was there first counts")

	require.NoError(t, client.MakeBucket(t.Context(), "unlocked", minio.MakeBucketOptions{}))
	_, err = objects(t, s, "unlocked", time.Now).See(t.Context(), first)
	require.Error(t, err, "a bucket without lock keeps nothing")
	_, err = objects(t, s, "absent", time.Now).See(t.Context(), first)
	require.Error(t, err)
	s.Stop()
	_, err = o.See(t.Context(), first)
	require.Error(t, err)
	require.NotContains(t, err.Error(), s.SecretKey)
}

// TestAnotherLogCosignsWhatGrew speaks to a witness that shares no code with ours.
func TestAnotherLogCosignsWhatGrew(t *testing.T) {
	t.Parallel()
	there, err := notary.NewLog("witness.example/w1", time.Now)
	require.NoError(t, err)
	server := httptest.NewServer(there)
	t.Cleanup(server.Close)
	key, err := witness.ParseCosigner(there.Key())
	require.NoError(t, err)
	base, err := url.Parse(server.URL + "/w1")
	require.NoError(t, err)
	w := attest.NewOtherLog(base, key)
	require.Equal(t, "witness.example/w1", w.Name())
	l := newLog(t)
	l.add(t, "a", 5)
	_, err = w.See(t.Context(), l.head(t, 0))
	require.Contains(t, fault.From(err).Message, "does not know this log (404)")
	require.NoError(t, there.Watch(l.key(t)))

	head := l.head(t, 0)
	receipt, err := w.See(t.Context(), head)
	require.NoError(t, err)
	at, err := key.Check(head.Message, receipt.Bytes)
	require.NoError(t, err)
	require.WithinDuration(t, time.Now(), at, time.Hour)
	_, err = w.See(t.Context(), l.head(t, 5))
	require.NoError(t, err, "the same head again")
	for _, before := range []int64{0, 3, 5} { // what is known here of what it saw may be wrong
		l.add(t, "b", 6)
		_, err = w.See(t.Context(), l.head(t, before))
		require.NoError(t, err)
	}
	require.EqualValues(t, 23, there.Size(auditlog.Origin(l.tenant)))

	fork := newLog(t)
	fork.tenant = l.tenant
	fork.add(t, "z", 10)
	var ahead *witness.AheadError
	_, err = w.See(t.Context(), fork.head(t, 5))
	require.ErrorAs(t, err, &ahead)
	require.EqualValues(t, 23, ahead.Size, "it has seen more")
	require.True(t, witness.Refuses(err))
	fork.add(t, "z", 13)
	_, err = w.See(t.Context(), fork.head(t, 5))
	require.ErrorIs(t, err, witness.ErrOther, "another log of the same size")
	fork.add(t, "z", 20)
	_, err = w.See(t.Context(), fork.head(t, 5))
	require.ErrorIs(t, err, witness.ErrOther, "no proof leads there")

	_, err = key.Check(fork.head(t, 0).Message, receipt.Bytes)
	require.Error(t, err, "the cosignature of another head")
	stranger, err := notary.NewLog("witness.example/w1", time.Now)
	require.NoError(t, err)
	other, err := witness.ParseCosigner(stranger.Key())
	require.NoError(t, err)
	_, err = attest.NewOtherLog(base, other).See(t.Context(), l.head(t, 23))
	require.Equal(t, "cosignature_wrong", fault.From(err).Code, "by another key than the one configured")
	server.Close()
	_, err = w.See(t.Context(), l.head(t, 23))
	require.Equal(t, "witness_away", fault.From(err).Code)
}

func TestAnAuthorityStampsAHead(t *testing.T) {
	t.Parallel()
	now := time.Now
	there, err := notary.NewClock(now)
	require.NoError(t, err)
	server := httptest.NewServer(there)
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL + "/tsr")
	require.NoError(t, err)
	roots, n, err := witness.Roots(there.Root())
	require.NoError(t, err)
	require.Equal(t, 1, n)
	c := attest.NewClock(address, roots)
	l := newLog(t)
	l.add(t, "a", 5)
	head := l.head(t, 0)
	receipt, err := c.See(t.Context(), head)
	require.NoError(t, err)
	at, err := witness.CheckTimestamp(head.Message, receipt.Bytes, roots, nil)
	require.NoError(t, err)
	require.WithinDuration(t, now(), at, time.Hour)
	_, err = witness.CheckTimestamp(head.Message, receipt.Bytes, nil, nil)
	require.NoError(t, err)

	l.add(t, "b", 1)
	_, err = witness.CheckTimestamp(l.head(t, 0).Message, receipt.Bytes, roots, nil)
	require.Error(t, err, "of another head")
	for i := range receipt.Bytes { // no byte of the signed part can be another
		if i%17 != 0 {
			continue
		}
		bad := bytes.Clone(receipt.Bytes)
		bad[i] ^= 1
		if at2, err := witness.CheckTimestamp(head.Message, bad, roots, nil); err == nil {
			require.Equal(t, at, at2, "byte %d", i)
		}
	}
	stranger, err := notary.NewClock(now)
	require.NoError(t, err)
	others, _, err := witness.Roots(stranger.Root())
	require.NoError(t, err)
	_, err = attest.NewClock(address, others).See(t.Context(), head)
	require.Equal(t, "timestamp_wrong", fault.From(err).Code, "by an authority nobody configured")
	replay := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/timestamp-reply")
		_, _ = w.Write(receipt.Bytes)
	}))
	t.Cleanup(replay.Close)
	address, err = url.Parse(replay.URL)
	require.NoError(t, err)
	_, err = attest.NewClock(address, roots).See(t.Context(), head)
	require.Error(t, err, "an answer to another question")
}

func TestAWitnessKeyIsReadExactly(t *testing.T) {
	t.Parallel()
	there, err := notary.NewLog("w", time.Now)
	require.NoError(t, err)
	good := there.Key()
	_, err = witness.ParseCosigner(good)
	require.NoError(t, err)
	plain := base64.StdEncoding.EncodeToString(append([]byte{1}, make([]byte, ed25519.PublicKeySize)...))
	for _, bad := range []string{"", "w", "w+00000000", strings.Replace(good, "w+", "v+", 1), good + "A", "w+00000000+" + plain, "a b" + good[1:]} {
		_, err = witness.ParseCosigner(bad)
		require.Equal(t, "cosigner_syntax", fault.From(err).Code, bad)
	}
	_, _, err = witness.Roots([]byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
	require.Error(t, err)
}
