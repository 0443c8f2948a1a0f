package deliver_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"io"
	"math/big"
	"mime"
	"mime/multipart"
	"mime/quotedprintable"
	"net"
	"net/mail"
	"net/textproto"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
	"github.com/stretchr/testify/require"

	"tollbook/app"
	"tollbook/app/approval"
	"tollbook/app/export/packet"
	"tollbook/app/notice"
	"tollbook/app/period"
	"tollbook/jobs/deliver"
)

// server is a mail server that does what a test says.
type server struct {
	mu       sync.Mutex
	messages []string
	logins   []string
	rcpt     error // the answer to a recipient
	data     error // the answer to a message
	drop     bool  // the connection ends after the message, without an answer
	roots    *x509.CertPool
	address  string
	conns    []net.Conn
}

func (s *server) NewSession(c *smtp.Conn) (smtp.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conns = append(s.conns, c.Conn())
	return &dialogue{server: s, conn: c}, nil
}

func (s *server) received() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string{}, s.messages...)
}

type dialogue struct {
	server *server
	conn   *smtp.Conn
}

func (d *dialogue) AuthMechanisms() []string { return []string{sasl.Plain} }

func (d *dialogue) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		d.server.mu.Lock()
		defer d.server.mu.Unlock()
		d.server.logins = append(d.server.logins, user+":"+password)
		if password != "right" {
			return smtp.ErrAuthFailed
		}
		return nil
	}), nil
}

func (d *dialogue) Mail(string, *smtp.MailOptions) error { return nil }
func (d *dialogue) Rcpt(string, *smtp.RcptOptions) error { return d.server.rcpt }
func (d *dialogue) Reset()                               {}
func (d *dialogue) Logout() error                        { return nil }

func (d *dialogue) Data(r io.Reader) error {
	content, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if d.server.data != nil {
		return d.server.data
	}
	d.server.mu.Lock()
	d.server.messages = append(d.server.messages, string(content))
	d.server.mu.Unlock()
	if d.server.drop {
		_ = d.conn.Conn().Close()
	}
	return nil
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	form := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mail"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, form, form, &key.PublicKey, key)
	require.NoError(t, err)
	parsed, err := x509.ParseCertificate(raw)
	require.NoError(t, err)
	roots := x509.NewCertPool()
	roots.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{raw}, PrivateKey: key}, roots
}

// listen starts the server: plain, with STARTTLS, or encrypted from the first byte.
func (s *server) listen(t *testing.T, way string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s.address = l.Addr().String()
	host := smtp.NewServer(s)
	host.Domain, host.AllowInsecureAuth = "mail.test", true
	if way != "plain" {
		var own tls.Certificate
		own, s.roots = certificate(t)
		host.TLSConfig = &tls.Config{Certificates: []tls.Certificate{own}, MinVersion: tls.VersionTLS12}
	}
	if way == "tls" {
		l = tls.NewListener(l, host.TLSConfig)
	}
	go func() { _ = host.Serve(l) }()
	t.Cleanup(func() { _ = host.Close() })
}

func (s *server) client(t *testing.T, form string) *deliver.SMTP {
	t.Helper()
	c, err := deliver.ParseSMTP(fmt.Sprintf(form, s.address) + "from=" + "Books%20%3Cbooks@tollbook.test%3E")
	require.NoError(t, err)
	c.Roots = s.roots
	return c
}

func letter() *app.Letter {
	return &app.Letter{
		ToName: "Zoë Łukasz", To: "zoe@one.test", Purpose: notice.Asked, Company: "Müller & Söhne", Number: 214, Kind: "prices", Made: "Ada", By: "Ada", Amount: "1234.56", Month: "2026-10",
		Effective: time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC), Expires: time.Date(2026, 12, 26, 12, 0, 0, 0, time.UTC), Reason: "a <b>contract</b>", Step: "Approval", State: approval.StateProposed,
		URL: "https://tollbook.test/t/one/changes/chg_1",
	}
}

// parts is a message taken apart: its head, its text and its page.
func parts(t *testing.T, raw string) (head mail.Header, text, page string) {
	t.Helper()
	m, err := mail.ReadMessage(strings.NewReader(raw))
	require.NoError(t, err)
	kind, params, err := mime.ParseMediaType(m.Header.Get("Content-Type"))
	require.NoError(t, err)
	require.Equal(t, "multipart/alternative", kind)
	reader := multipart.NewReader(m.Body, params["boundary"])
	var bodies []string
	for {
		part, err := reader.NextRawPart()
		if err == io.EOF { //nolint:errorlint // what the reader documents
			break
		}
		require.NoError(t, err)
		require.Equal(t, "quoted-printable", part.Header.Get("Content-Transfer-Encoding"))
		body, err := io.ReadAll(quotedprintable.NewReader(part))
		require.NoError(t, err)
		bodies = append(bodies, strings.ReplaceAll(string(body), "\r\n", "\n"))
	}
	require.Len(t, bodies, 2)
	return m.Header, bodies[0], bodies[1]
}

func TestMailArrivesOverEveryWayThereIs(t *testing.T) {
	t.Parallel()
	for way, form := range map[string]string{
		"plain": "smtp://%s?starttls=none&", "plain, if it must be": "smtp://%s?starttls=optional&",
		"starttls": "smtp://user:right@%s?starttls=required&", "starttls, since it can": "smtp://%s?starttls=optional&", "tls": "smtps://user:right@%s?",
	} {
		s := &server{}
		kind, _, _ := strings.Cut(way, ",")
		s.listen(t, kind)
		out := s.client(t, form).Send(t.Context(), "dlv_1", letter())
		require.True(t, out.Accepted, "%s: %s", way, out.Answer)
		require.Len(t, s.received(), 1, way)
		if strings.Contains(form, "user") {
			require.Equal(t, []string{"user:right"}, s.logins, way)
		}
		if kind != "plain" {
			_, encrypted := s.conns[len(s.conns)-1].(*tls.Conn)
			require.True(t, encrypted, way)
		}
	}
}

func TestAMailSaysWhatItMustAndLoadsNothing(t *testing.T) {
	t.Parallel()
	s := &server{}
	s.listen(t, "plain")
	require.True(t, s.client(t, "smtp://%s?starttls=none&").Send(t.Context(), "dlv_7", letter()).Accepted)
	head, text, page := parts(t, s.received()[0])
	subject, err := new(mime.WordDecoder).DecodeHeader(head.Get("Subject"))
	require.NoError(t, err)
	require.Equal(t, "[Müller & Söhne] Decide about change 214, prices", subject)
	to, err := head.AddressList("To")
	require.NoError(t, err)
	require.Equal(t, []*mail.Address{{Name: "Zoë Łukasz", Address: "zoe@one.test"}}, to)
	from, err := head.AddressList("From")
	require.NoError(t, err)
	require.Equal(t, []*mail.Address{{Name: "Books", Address: "books@tollbook.test"}}, from)
	require.Equal(t, "<dlv_7@tollbook.test>", head.Get("Message-Id"))
	require.Equal(t, "auto-generated", head.Get("Auto-Submitted"))
	for _, body := range []string{text, page} {
		for _, want := range []string{"214, prices", "Ada", "$1234.56", "2026-10", "1 December 2026", "26 December 2026", "https://tollbook.test/t/one/changes/chg_1", "decides nothing by itself"} {
			require.Contains(t, body, want)
		}
	}
	require.Contains(t, text, "a <b>contract</b>")
	require.Contains(t, page, "a &lt;b&gt;contract&lt;/b&gt;")
	for _, loads := range []string{"<img", "src=", "<link", "url(", "<script", "<form", "<input", "<button", "@import", "<iframe"} {
		require.NotContains(t, page, loads)
	}
	require.Equal(t, 1, strings.Count(page, "href="), "one link")
}

func TestEveryPurposeHasItsWords(t *testing.T) {
	t.Parallel()
	s := &server{}
	s.listen(t, "plain")
	client := s.client(t, "smtp://%s?starttls=none&")
	seen := map[string]notice.Purpose{}
	for _, p := range []notice.Purpose{
		notice.Asked, notice.Reminded, notice.Questioned, notice.Commented, notice.Applied, notice.Rejected, notice.Withdrawn, notice.Expired, notice.Told, notice.Delegated, notice.Undelegated,
		notice.Requested, notice.Recalled, notice.Answered,
	} {
		l := letter()
		if p == notice.Requested || p == notice.Recalled || p == notice.Answered {
			l.About, l.Step = "the commentary on CC-1 for October 2026", "returned"
		}
		l.Purpose, l.Said, l.Gives, l.Takes = p, "since when?\nProposed by: somebody else", "Ada", "Ben"
		l.From, l.Upto = time.Now(), time.Now().Add(time.Hour)
		require.True(t, client.Send(t.Context(), "dlv_1", l).Accepted)
		all := s.received()
		head, text, page := parts(t, all[len(all)-1])
		require.Empty(t, seen[head.Get("Subject")])
		seen[head.Get("Subject")] = p
		if p.Topic() == "" {
			require.Contains(t, text, "cannot be muted", p)
			require.Contains(t, page, "cannot be muted", p)
		} else {
			require.Contains(t, text, "page of your account", p)
		}
		require.NotContains(t, text, "\nProposed by: somebody else", "what somebody wrote is marked as theirs")
	}
}

// TestNothingThatSomebodyWroteAddsAHeader puts line ends wherever a person may write.
func TestNothingThatSomebodyWroteAddsAHeader(t *testing.T) {
	t.Parallel()
	s := &server{}
	s.listen(t, "plain")
	client := s.client(t, "smtp://%s?starttls=none&")
	for _, end := range []string{"\r\n", "\n", "\r", "\u2028", "\u0085", "\x00\r\n", "\r\n\r\n"} {
		evil := "x" + end + "Bcc: mallory@evil.test" + end + "X-Evil: yes"
		l := letter()
		l.ToName, l.Company, l.Kind, l.Made, l.By, l.Reason, l.Said, l.Step, l.Amount = evil, evil, evil, evil, evil, evil, evil, evil, "1.00"
		for _, p := range []notice.Purpose{notice.Asked, notice.Commented, notice.Delegated} {
			l.Purpose, l.Gives, l.Takes, l.For = p, evil, evil, []string{evil}
			require.True(t, client.Send(t.Context(), "dlv_1", l).Accepted)
		}
	}
	allowed := map[string]bool{}
	for _, name := range []string{"Date", "Mime-Version", "Message-Id", "Subject", "Auto-Submitted", "X-Auto-Response-Suppress", "X-Tollbook-Delivery", "From", "To", "Content-Type"} {
		allowed[name] = true
	}
	for _, raw := range s.received() {
		head, text, _ := parts(t, raw)
		for name := range head {
			require.True(t, allowed[textproto.CanonicalMIMEHeaderKey(name)], name)
		}
		to, err := head.AddressList("To")
		require.NoError(t, err)
		require.Len(t, to, 1)
		for row := range strings.Lines(text) {
			require.False(t, strings.HasPrefix(row, "Bcc:"), row)
		}
	}
	l := letter()
	l.To = "zoe@one.test\r\nBcc: mallory@evil.test"
	out := client.Send(t.Context(), "dlv_1", l)
	require.True(t, out.Permanent)
	require.False(t, out.Accepted)
}

func TestAnAnswerDecidesWhetherItIsTriedAgain(t *testing.T) {
	t.Parallel()
	temporary := &smtp.SMTPError{Code: 451, EnhancedCode: smtp.EnhancedCode{4, 7, 1}, Message: "Greylisted, come back"}
	permanent := &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "No such user"}
	for name, c := range map[string]struct {
		server    *server
		permanent bool
		says      string
	}{
		"recipient later": {&server{rcpt: temporary}, false, "Greylisted"},
		"recipient never": {&server{rcpt: permanent}, true, "No such user"},
		"message later":   {&server{data: temporary}, false, "Greylisted"},
		"message never":   {&server{data: permanent}, true, "No such user"},
		"silence after":   {&server{drop: true}, false, ""},
	} {
		c.server.listen(t, "plain")
		out := c.server.client(t, "smtp://%s?starttls=none&").Send(t.Context(), "dlv_1", letter())
		require.False(t, out.Accepted, name)
		require.Equal(t, c.permanent, out.Permanent, name)
		require.Contains(t, out.Answer, c.says, name)
	}
}

func TestNoMailLeavesUnencryptedWhereItMustNot(t *testing.T) {
	t.Parallel()
	s := &server{}
	s.listen(t, "plain")
	out := s.client(t, "smtp://user:right@%s?starttls=required&").Send(t.Context(), "dlv_1", letter())
	require.False(t, out.Accepted)
	require.False(t, out.Permanent, "the operator can mend it")
	require.Contains(t, out.Answer, "STARTTLS")
	require.Empty(t, s.logins, "the password did not leave")
	require.Empty(t, s.received())

	strange := &server{}
	strange.listen(t, "starttls")
	client := strange.client(t, "smtp://user:right@%s?")
	client.Roots = x509.NewCertPool()
	out = client.Send(t.Context(), "dlv_1", letter())
	require.False(t, out.Accepted || out.Permanent)
	require.Contains(t, out.Answer, "certificate")
	require.Empty(t, strange.logins)

	wrong := &server{}
	wrong.listen(t, "starttls")
	out = wrong.client(t, "smtp://user:wrong-password@%s?").Send(t.Context(), "dlv_1", letter())
	require.False(t, out.Accepted || out.Permanent)
	require.NotContains(t, out.Answer, "wrong-password")
}

func TestNobodyThereIsTriedAgain(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &server{address: l.Addr().String()}
	require.NoError(t, l.Close())
	out := s.client(t, "smtp://%s?starttls=none&").Send(t.Context(), "dlv_1", letter())
	require.False(t, out.Accepted || out.Permanent)
	require.Contains(t, out.Answer, "refused")
	require.NotContains(t, out.Answer, "127.0.0.1", "an address of the installation's network is nobody else's business")
}

// silent takes connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	return l.Addr().String()
}

func TestAServerThatHangsIsLeftAndTriedAgain(t *testing.T) {
	t.Parallel()
	client := (&server{address: silent(t)}).client(t, "smtp://%s?starttls=none&")
	client.Within = 100 * time.Millisecond
	out := client.Send(t.Context(), "dlv_1", letter())
	require.False(t, out.Accepted || out.Permanent)
	require.Contains(t, out.Answer, "timeout")
}

func TestAnAddressOfAMailServerIsReadOrRefused(t *testing.T) {
	t.Parallel()
	read := func(text string) deliver.SMTP {
		s, err := deliver.ParseSMTP(text)
		require.NoError(t, err, text)
		return *s
	}
	s := read("smtp://u:p%40ss@mail.test?from=t@x.test")
	require.Equal(t, []any{"mail.test", 587, false, "required", "u", "p@ss", "t@x.test", "Tollbook"}, []any{s.Host, s.Port, s.TLS, s.StartTLS, s.User, s.Password.Reveal(), s.From.Address, s.From.Name})
	s = read("smtps://mail.test:2465/?from=Books+%3Ct@x.test%3E")
	require.Equal(t, []any{2465, true, "", "", "Books"}, []any{s.Port, s.TLS, s.StartTLS, s.User, s.From.Name})
	s = read("smtp://[::1]:25?starttls=none&from=t@x.test")
	require.Equal(t, []any{"::1", 25, "none"}, []any{s.Host, s.Port, s.StartTLS})
	for _, bad := range []string{
		"", "mail.test", "http://mail.test?from=t@x.test", "smtp://mail.test", "smtp://mail.test?from=", "smtp://mail.test?from=nobody", "smtp://?from=t@x.test",
		"smtp://mail.test:0?from=t@x.test", "smtp://mail.test:99999?from=t@x.test", "smtp://mail.test/path?from=t@x.test", "smtp://mail.test?from=t@x.test&starttls=maybe",
		"smtps://mail.test?from=t@x.test&starttls=none", "smtp://u:p@mail.test?from=t@x.test&starttls=none", "smtp://u:p@mail.test?from=t@x.test&starttls=optional",
		"smtp://u@mail.test?from=t@x.test", "smtp://:p@mail.test?from=t@x.test", "smtp://mail.test?from=t@x.test&from=u@x.test", "smtp://mail.test?from=t@x.test&insecure=1",
		"smtp://mail.test?from=t@x.test%0d%0aBcc:x", "smtp://mail.test?%zz", "smtp://mail.test?from=t@x.test#x",
	} {
		_, err := deliver.ParseSMTP(bad)
		require.Error(t, err, bad)
		require.NotContains(t, err.Error(), "mail.test?", "%s", bad)
	}
}

// TestAMailWithACorrectedPacketSaysWhatItReplaces: in its subject, its text and its page.
func TestAMailWithACorrectedPacketSaysWhatItReplaces(t *testing.T) {
	t.Parallel()
	s := &server{}
	s.listen(t, "plain")
	month, err := period.ParseMonth("2026-10")
	require.NoError(t, err)
	sent := &app.PacketDispatch{Mail: &app.PacketLetter{
		ToName: "Carla", To: "carla@one.test", Company: "Meridian", Month: month, Revision: 3, State: packet.Final, URL: "https://tollbook.test/t/one/packets/pkt_1",
		Corrects: &packet.Corrected{Revision: 1, Packet: "pkt_0", Manifest: strings.Repeat("a1", 32)}, Changes: []packet.Change{{What: "Entries added", After: "7, 8"}, {Of: packet.OfNode, What: "ENG / 0041", Before: "$1.00", After: "$2.50"}},
	}}
	require.True(t, deliver.NewOffice(s.client(t, "smtp://%s?starttls=none&"), nil).SendPacket(t.Context(), sent).Accepted)
	head, text, page := parts(t, s.received()[0])
	subject, err := new(mime.WordDecoder).DecodeHeader(head.Get("Subject"))
	require.NoError(t, err)
	require.Equal(t, "[Meridian] Close packet 2026-10, revision 3, FINAL, CORRECTED", subject)
	for _, body := range []string{text, page} {
		for _, want := range []string{"takes the place of revision 1", strings.Repeat("a1", 32), "Changed since revision 1", "Entries added", "$2.50"} {
			require.Contains(t, body, want)
		}
	}
}
