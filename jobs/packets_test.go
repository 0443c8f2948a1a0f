package jobs_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/id"
	"tollbook/app/notice"
	"tollbook/jobs/deliver"
	"tollbook/simulator/notary"
)

// recipient proposes and approves one.
func (h *house) recipient(t *testing.T, want app.RecipientAsk) app.MadeRecipient {
	t.Helper()
	want.Final = true
	made, err := h.packets.AddRecipient(t.Context(), h.session(t, h.one, "ada"), want, "the close")
	require.NoError(t, err)
	_, err = h.approval.Decide(t.Context(), h.session(t, h.one, "ben"), made.ID, approval.VerdictApprove, made.Digest, "fine")
	require.NoError(t, err)
	return made
}

// closed ends last month's books, by the database's clock.
func (h *house) closed(t *testing.T) {
	t.Helper()
	_, err := h.admin.Exec(`insert into period (tenant_id, month, state, changed_at) values ($1, (date_trunc('month', now() at time zone 'UTC') - interval '1 month')::date, 'locked', $2)`,
		h.one, time.Now().Add(time.Duration(h.ahead.Load())))
	require.NoError(t, err)
}

func (h *house) scheduled(t *testing.T) int {
	t.Helper()
	n, err := h.packets.Schedule(t.Context(), h.one)
	require.NoError(t, err)
	return n
}

// arrived waits until every delivery of a packet came to an end.
func (h *house) arrived(t *testing.T, deliveries int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		var n int64
		err := h.admin.QueryRow(`select count(*) from packet_step where state in ('accepted', 'refused', 'given_up', 'dropped')`).Scan(&n)
		return err == nil && n == deliveries
	}, 60*time.Second, 20*time.Millisecond, "%d deliveries come to an end", deliveries)
}

// bucket is a real object store with a bucket, and how a recipient names it.
func bucket(t *testing.T) (*minio.Client, *app.StoreAddr, string) {
	t.Helper()
	program, err := exec.CommandContext(t.Context(), "../scripts/versitygw").Output()
	require.NoError(t, err)
	s, err := notary.StartStore(context.WithoutCancel(t.Context()), strings.TrimSpace(string(program)), t.TempDir())
	require.NoError(t, err)
	t.Cleanup(s.Stop)
	client, err := minio.New(strings.TrimPrefix(s.URL, "http://"), &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, "")})
	require.NoError(t, err)
	require.NoError(t, client.MakeBucket(t.Context(), "books", minio.MakeBucketOptions{ObjectLocking: true}))
	return client, &app.StoreAddr{Endpoint: s.URL, Region: "us-east-1", Bucket: "books", Prefix: "close", AccessKey: s.AccessKey, LockDays: 30}, s.SecretKey
}

// hook is a system that answers as it is told, and then takes all.
type hook struct {
	mu      sync.Mutex
	answers []int
	heads   []http.Header
	bodies  []string
	*httptest.Server
}

func newHook(t *testing.T, answers ...int) *hook {
	t.Helper()
	h := &hook{answers: answers}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.heads, h.bodies = append(h.heads, r.Header.Clone()), append(h.bodies, string(body))
		if len(h.answers) > 0 {
			w.WriteHeader(h.answers[0])
			h.answers = h.answers[1:]
		}
	}))
	t.Cleanup(h.Close)
	return h
}

var attachedForm = regexp.MustCompile(`(?s)filename="([^"]+\.zip)".*?\r\n\r\n([A-Za-z0-9+/=\r\n]+?)\r\n--`)

// TestAPacketGoesToEveryKindOfRecipient has servers that fail first, a bucket with lock, and
// two workers.
func TestAPacketGoesToEveryKindOfRecipient(t *testing.T) {
	t.Parallel()
	h := build(t)
	client, store, key := bucket(t)
	there := newHook(t, http.StatusInternalServerError)
	h.post.answers = []error{&smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "come back"}}
	h.recipient(t, app.RecipientAsk{Kind: app.RecipientPerson, Label: "ben", Member: h.session(t, h.one, "ben").Member.String(), Carries: app.CarriesSummary})
	h.recipient(t, app.RecipientAsk{Kind: app.RecipientMail, Label: "CFO", Address: "cfo@meridian.test", Carries: app.CarriesArchive})
	h.recipient(t, app.RecipientAsk{Kind: app.RecipientS3, Label: "bucket", Store: store, Secret: key, Carries: app.CarriesArchive})
	made := h.recipient(t, app.RecipientAsk{Kind: app.RecipientWebhook, Label: "their system", Address: there.URL, Carries: app.CarriesLink})
	require.Zero(t, h.scheduled(t), "no month was closed")
	h.closed(t)
	require.Equal(t, 4, h.scheduled(t))
	require.Zero(t, h.scheduled(t), "nothing is queued twice")
	h.work(t, true)
	h.work(t, true)
	h.arrived(t, 4)
	require.Equal(t, "4", h.text(t, `select count(*) from packet_step where state = 'accepted'`))
	require.Equal(t, "4", h.text(t, `select count(*) from audit_record where action = 'packet.delivered'`))
	require.Equal(t, "packets by mail, packets by s3", h.text(t, `select string_agg(witness, ', ' order by witness) from audit_witness where kind = 'packet' and seen`), "who was sent the whole archive holds a head")

	digest := h.text(t, `select encode(archive_digest, 'hex') from packet_seal`)
	month := time.Now().UTC().AddDate(0, 0, 1-time.Now().UTC().Day()).AddDate(0, -1, 0).Format("2006-01")
	h.post.mu.Lock()
	mails := strings.Join(h.post.got, "\n")
	h.post.mu.Unlock()
	require.Contains(t, mails, "Subject: [Company one] Close packet "+month+", revision 1, FINAL")
	require.Contains(t, mails, "one-"+month+"-r1-FINAL-summary.pdf")
	found := attachedForm.FindStringSubmatch(mails)
	require.NotNil(t, found)
	archive, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(found[2], "\r\n", ""))
	require.NoError(t, err)
	sum := sha256.Sum256(archive)
	require.Equal(t, digest, hex.EncodeToString(sum[:]), "the mail carries the sealed bytes")

	object, err := client.GetObject(t.Context(), "books", "close/"+month+"/one-"+month+"-r1-FINAL.zip", minio.GetObjectOptions{})
	require.NoError(t, err)
	kept, err := io.ReadAll(object)
	require.NoError(t, err)
	require.True(t, bytes.Equal(archive, kept))
	stat, err := client.StatObject(t.Context(), "books", "close/"+month+"/one-"+month+"-r1-FINAL.zip", minio.StatObjectOptions{})
	require.NoError(t, err)
	require.Equal(t, string(minio.Compliance), stat.Metadata.Get("X-Amz-Object-Lock-Mode"))
	until, err := time.Parse(time.RFC3339, stat.Metadata.Get("X-Amz-Object-Lock-Retain-Until-Date"))
	require.NoError(t, err)
	require.True(t, until.After(time.Now().AddDate(0, 0, 29)))

	there.mu.Lock()
	defer there.mu.Unlock()
	require.Len(t, there.bodies, 2)
	require.Equal(t, there.bodies[0], there.bodies[1])
	require.Equal(t, there.heads[0].Get("webhook-id"), there.heads[1].Get("webhook-id"))
	seconds, err := strconv.ParseInt(there.heads[1].Get("webhook-timestamp"), 10, 64)
	require.NoError(t, err)
	signature, err := notice.Sign(made.Secret.Reveal(), there.heads[1].Get("webhook-id"), time.Unix(seconds, 0), []byte(there.bodies[1]))
	require.NoError(t, err)
	require.Equal(t, signature, there.heads[1].Get("webhook-signature"))
	var told struct {
		Type string `json:"type"`
		Data struct {
			Archive string `json:"archive_sha256"`
			URL     string `json:"url"`
		} `json:"data"`
	}
	require.NoError(t, json.Unmarshal([]byte(there.bodies[1]), &told))
	require.Equal(t, "packet.final", told.Type)
	require.Equal(t, digest, told.Data.Archive)
	require.Contains(t, told.Data.URL, "https://t.test/t/one/packets/pkt_")
}

// TestAPacketsWorkerThatIsKilled dies after the server's answer and before the commit: a mail
// comes twice with one id, an object is there once.
func TestAPacketsWorkerThatIsKilled(t *testing.T) {
	t.Parallel()
	h := build(t)
	client, store, key := bucket(t)
	h.recipient(t, app.RecipientAsk{Kind: app.RecipientMail, Label: "CFO", Address: "cfo@meridian.test", Carries: app.CarriesLink})
	h.recipient(t, app.RecipientAsk{Kind: app.RecipientS3, Label: "bucket", Store: store, Secret: key, Carries: app.CarriesArchive})
	h.closed(t)
	require.Equal(t, 2, h.scheduled(t))
	for _, kind := range []string{app.RecipientMail, app.RecipientS3} {
		delivery, err := id.ParseDelivery(h.text(t, `select d.delivery_id from packet_delivery d join packet_recipient r using (tenant_id, recipient_id) where r.kind = $1`, kind))
		require.NoError(t, err)
		made, err := h.packets.Begin(t.Context(), h.one, delivery, 1)
		require.NoError(t, err)
		require.True(t, h.office.SendPacket(t.Context(), made).Accepted)
		// Here its process ends. Another finds it: too early to tell at first.
		_, err = h.packets.Begin(t.Context(), h.one, delivery, 1)
		require.ErrorIs(t, err, app.ErrUnderWay)
		h.ahead.Add(int64(3 * notice.AttemptWithin))
		made, err = h.packets.Begin(t.Context(), h.one, delivery, 1)
		require.NoError(t, err)
		out := h.office.SendPacket(t.Context(), made)
		again, err := h.packets.Finish(t.Context(), made, out)
		require.NoError(t, err)
		require.False(t, again)
		if kind == app.RecipientS3 {
			require.Contains(t, out.Answer, "byte for byte")
		}
		require.Equal(t, "attempted interrupted attempted accepted", h.text(t, `select string_agg(state, ' ' order by place) from packet_step where delivery_id = $1`, delivery))
		none, err := h.packets.Begin(t.Context(), h.one, delivery, 1)
		require.NoError(t, err)
		require.Nil(t, none, "it has arrived")
	}
	ids := h.post.each(idForm)
	require.Len(t, ids, 2)
	require.Equal(t, ids[0], ids[1], "one id, so that whoever gets both can tell")
	objects := 0
	for object := range client.ListObjects(t.Context(), "books", minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		require.NoError(t, object.Err)
		objects++
	}
	require.Equal(t, 1, objects)
}

// TestReceiversThatHangFailOrHoldAnother each end with an answer that says so, and a resend
// is asked for by a person.
func TestReceiversThatHangFailOrHoldAnother(t *testing.T) {
	t.Parallel()
	h := build(t)
	client, store, key := bucket(t)
	hanging := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // only then does the server hear that nobody waits any more
		<-r.Context().Done()
	}))
	t.Cleanup(hanging.Close)
	gone := newHook(t, http.StatusGone)
	h.recipient(t, app.RecipientAsk{Kind: app.RecipientWebhook, Label: "hangs", Address: hanging.URL, Carries: app.CarriesLink})
	h.recipient(t, app.RecipientAsk{Kind: app.RecipientWebhook, Label: "gone", Address: gone.URL, Carries: app.CarriesLink})
	h.recipient(t, app.RecipientAsk{Kind: app.RecipientS3, Label: "wrong key", Store: store, Secret: "wrong", Carries: app.CarriesArchive})
	h.recipient(t, app.RecipientAsk{Kind: app.RecipientS3, Label: "taken", Store: store, Secret: key, Carries: app.CarriesSummary})
	h.closed(t)
	require.Equal(t, 4, h.scheduled(t))
	office := deliver.NewOffice(nil, deliver.NewHooks(true, 200*time.Millisecond, time.Now))
	try := func(label string, round int) (notice.Outcome, bool) {
		delivery, err := id.ParseDelivery(h.text(t, `select d.delivery_id from packet_delivery d join packet_recipient r using (tenant_id, recipient_id) where r.label = $1`, label))
		require.NoError(t, err)
		made, err := h.packets.Begin(t.Context(), h.one, delivery, round)
		require.NoError(t, err)
		require.NotNil(t, made, label)
		if label == "taken" && round == 1 {
			_, err := client.PutObject(t.Context(), "books", made.Object.Key, strings.NewReader("another"), 7, minio.PutObjectOptions{})
			require.NoError(t, err)
		}
		out := office.SendPacket(t.Context(), made)
		again, err := h.packets.Finish(t.Context(), made, out)
		require.NoError(t, err)
		return out, again
	}
	out, again := try("hangs", 1)
	require.True(t, again)
	require.Equal(t, "No answer in time.", out.Answer)
	out, again = try("gone", 1)
	require.False(t, again)
	require.Equal(t, "410 Gone", out.Answer)
	out, again = try("wrong key", 1)
	require.True(t, again)
	require.Contains(t, out.Answer, "403")
	out, again = try("taken", 1)
	require.False(t, again)
	require.Contains(t, out.Answer, "nothing was written over it")
	delivery, err := id.ParseDelivery(h.text(t, `select d.delivery_id from packet_delivery d join packet_recipient r using (tenant_id, recipient_id) where r.label = 'gone'`))
	require.NoError(t, err)
	ada := h.session(t, h.one, "ada")
	require.NoError(t, h.packets.Resend(t.Context(), ada, delivery))
	require.Error(t, h.packets.Resend(t.Context(), ada, delivery), "it is on its way")
	out, _ = try("gone", 2)
	require.True(t, out.Accepted)
	require.Equal(t, "1", h.text(t, `select count(*) from audit_record where action = 'packet.resent'`))
}
