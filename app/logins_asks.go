package app

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"regexp"
	"strings"
	"time"

	"tollbook/app/auditlog"
	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/app/usage"
	"tollbook/db"
)

// How a command line comes to a login: it opens a browser here and listens at a loopback
// address for a code (RFC 8252, with PKCE), or, where there is no browser, shows a code
// for somebody to type in at one (RFC 8628).

const (
	askLife  = 10 * time.Minute
	codeLife = time.Minute
	maxAsks  = 1000 // of one tenant at once
	// AskInterval is how long a command line waits between two looks.
	AskInterval = 2 * time.Second
	userCodeLen = 8
	// userLetters are those that are not taken for one another, and spell nothing.
	userLetters = "BCDFGHJKLMNPQRSTVWXZ"
)

// The answers to a command line that waits; their codes are OAuth's.
var (
	ErrPending  = fault.New(fault.KindInvalid, "authorization_pending", "Nobody has decided yet.")
	ErrSlowDown = fault.New(fault.KindInvalid, "slow_down", "Ask less often.")
	ErrDenied   = fault.New(fault.KindInvalid, "access_denied", "It was not allowed in the browser.")
	ErrAskGone  = fault.New(fault.KindInvalid, "expired_token", "The code has expired or was used already. Run tollbook login again.")
	ErrGrant    = fault.New(fault.KindInvalid, "invalid_grant", "That code is not one that was given out, or was used already. Run tollbook login again.")
	ErrUserCode = fault.New(fault.KindNotFound, "user_code_absent", "No command line waits with that code. Compare it with your terminal; it is good for ten minutes and for one use.")
	errAsksMany = fault.New(fault.KindLimited, "asks_many", "Too many command lines wait for a sign-in. Try again in a few minutes.")
)

// DeviceAsk is what a command line without a browser shows and keeps.
type DeviceAsk struct {
	Device   secret.Text // what it asks with
	UserCode string      // what a person types
	Life     time.Duration
}

// AskDevice begins a sign-in without a browser. Anybody may: it gives nothing until a
// member decides.
func (l *Logins) AskDevice(ctx context.Context, tenant id.Tenant, client, costCenter string) (DeviceAsk, error) {
	made := DeviceAsk{Life: askLife}
	err := l.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		open, err := tx.OpenAsks()
		if err != nil {
			return err
		}
		if open >= maxAsks {
			return errAsksMany
		}
		ask := id.NewAsk(tx.Now)
		made.UserCode = newUserCode()
		made.Device = secret.NewText(tenant.String() + "." + ask.String() + "." + secret.Mint("").Reveal())
		hash := l.codes.Current(made.UserCode)
		return tx.AddAsk(db.FreshAsk{
			ID: ask, Secret: l.asks.Current(made.Device.Reveal()), UserCode: &hash, Client: tidyClient(client), CostCenter: usage.Clip(costCenter, 60), ExpiresAt: tx.Now.Add(askLife),
		})
	})
	made.UserCode = made.UserCode[:min(4, len(made.UserCode))] + "-" + made.UserCode[min(4, len(made.UserCode)):]
	return made, err
}

func newUserCode() string {
	const unbiased = 256 - 256%len(userLetters)
	code := make([]byte, 0, userCodeLen)
	for one := make([]byte, 1); len(code) < userCodeLen; {
		_, _ = rand.Read(one) // never fails (Go 1.24)
		if int(one[0]) < unbiased {
			code = append(code, userLetters[int(one[0])%len(userLetters)])
		}
	}
	return string(code)
}

// readUserCode takes a code as people type it.
func readUserCode(text string) string {
	return strings.Map(func(r rune) rune {
		if strings.ContainsRune(userLetters, r) {
			return r
		}
		return -1
	}, strings.ToUpper(usage.Clip(text, 40)))
}

// tidyClient is what a command line calls its machine, for the person to know it by.
func tidyClient(client string) string {
	if client = strings.TrimSpace(usage.Clip(client, maxMachineBytes)); client != "" {
		return client
	}
	return "a command line"
}

// AskView is a command line that waits, as the page shows it.
type AskView struct {
	UserCode   string
	Client     string
	CostCenter string // it asks for
	ExpiresAt  time.Time
	LoginEnds  time.Time // if it is allowed now
	Choices    []ChargeNode
}

// FindAsk shows the command line that waits with a code.
func (l *Logins) FindAsk(ctx context.Context, who Actor, code string) (AskView, error) {
	var view AskView
	err := l.atBrowser(ctx, who, func(tx *db.Tx, ends time.Time, choices []ChargeNode) error {
		row, err := l.byCode(tx, code)
		view = AskView{UserCode: code, Client: row.Client, CostCenter: row.CostCenter, ExpiresAt: row.ExpiresAt.UTC(), LoginEnds: ends, Choices: choices}
		return err
	})
	return view, err
}

// Offer shows what allowing a command line at a loopback address would give.
func (l *Logins) Offer(ctx context.Context, who Actor) (AskView, error) {
	var view AskView
	err := l.atBrowser(ctx, who, func(_ *db.Tx, ends time.Time, choices []ChargeNode) error {
		view = AskView{LoginEnds: ends, Choices: choices}
		return nil
	})
	return view, err
}

func (l *Logins) byCode(tx *db.Tx, code string) (db.AskRow, error) {
	read := readUserCode(code)
	if len(read) != userCodeLen {
		return db.AskRow{}, ErrUserCode
	}
	row, found, err := tx.AskByCode(l.codes.Accepted(read))
	if err == nil && !found {
		err = ErrUserCode
	}
	return row, err
}

// atBrowser is for a person in a session: its end is the login's.
func (l *Logins) atBrowser(ctx context.Context, who Actor, do func(tx *db.Tx, ends time.Time, list []ChargeNode) error) error {
	if err := l.access.Check(who, "login", "begin"); err != nil {
		return err
	}
	if who.Kind != ActorPerson {
		return ErrNotAllowed
	}
	return l.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		if err := tx.SharePeople(); err != nil { // a suspension under way ends this session, too
			return err
		}
		ends, found, err := tx.SessionEnds(who.Session)
		if err != nil {
			return err
		}
		if !found {
			return ErrSession
		}
		tree, err := treeAt(tx, time.Time{})
		if err != nil {
			return err
		}
		list, err := choices(tx, tree, who)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return errNothingToCharge
		}
		return do(tx, ends.UTC(), list)
	})
}

// AllowDevice lets the command line that waits with a code charge a cost center.
func (l *Logins) AllowDevice(ctx context.Context, who Actor, code, costCenter string) error {
	return l.atBrowser(ctx, who, func(tx *db.Tx, ends time.Time, _ []ChargeNode) error {
		row, err := l.byCode(tx, code)
		if err != nil {
			return err
		}
		tree, err := treeAt(tx, time.Time{})
		if err != nil {
			return err
		}
		node, err := mayCharge(tx, tree, who, costCenter)
		if err != nil {
			return err
		}
		if err := tx.AllowAsk(row.AskID, who.Member, node.Node, ends); err != nil {
			return err
		}
		return tx.AppendAudit(auditlog.Record{Action: "login.allowed", Actor: who.ID(), Subject: row.AskID.String(), Detail: map[string]any{"cost_center": node.Code, "session": who.Session.String()}})
	})
}

// DenyDevice turns the command line that waits with a code away.
func (l *Logins) DenyDevice(ctx context.Context, who Actor, code string) error {
	if err := l.access.Check(who, "login", "begin"); err != nil {
		return err
	}
	return l.db.InTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		row, err := l.byCode(tx, code)
		if err != nil {
			return err
		}
		if err := tx.DenyAsk(row.AskID); err != nil {
			return err
		}
		return tx.AppendAudit(auditlog.Record{Action: "login.denied", Actor: who.ID(), Subject: row.AskID.String()})
	})
}

// Loopback is a command line that listens on this machine.
type Loopback struct {
	Challenge  string // PKCE, S256
	Client     string
	CostCenter string
}

// Allow gives a code for a login to a command line that listens at a loopback address.
func (l *Logins) Allow(ctx context.Context, who Actor, want Loopback) (secret.Text, error) {
	var code secret.Text
	if !regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`).MatchString(want.Challenge) {
		return code, fault.Invalid("challenge", "challenge_syntax", "The command line sent no proper challenge. Run tollbook login again.")
	}
	err := l.atBrowser(ctx, who, func(tx *db.Tx, ends time.Time, _ []ChargeNode) error {
		tree, err := treeAt(tx, time.Time{})
		if err != nil {
			return err
		}
		node, err := mayCharge(tx, tree, who, want.CostCenter)
		if err != nil {
			return err
		}
		ask := id.NewAsk(tx.Now)
		code = secret.NewText(who.Tenant.String() + "." + ask.String() + "." + secret.Mint("").Reveal())
		if err := tx.AddAsk(db.FreshAsk{
			ID: ask, Secret: l.asks.Current(code.Reveal()), Challenge: want.Challenge, Client: tidyClient(want.Client), CostCenter: node.Code,
			ExpiresAt: tx.Now.Add(codeLife), MemberID: who.Member, NodeID: node.Node, LoginExpiresAt: ends,
		}); err != nil {
			return err
		}
		return tx.AppendAudit(auditlog.Record{Action: "login.allowed", Actor: who.ID(), Subject: ask.String(), Detail: map[string]any{"cost_center": node.Code, "session": who.Session.String()}})
	})
	return code, err
}

// Redeem turns the code that came to a loopback address into a login. A code is good
// once, and for whoever made its challenge.
func (l *Logins) Redeem(ctx context.Context, code secret.Text, verifier string) (Issued, error) {
	var issued Issued
	err := l.asked(ctx, code, ErrGrant, func(tx *db.Tx, row db.AskRow) error {
		sum := sha256.Sum256([]byte(verifier))
		proof := base64.RawURLEncoding.EncodeToString(sum[:])
		if row.Challenge == "" || subtle.ConstantTimeCompare([]byte(proof), []byte(row.Challenge)) != 1 {
			return ErrGrant
		}
		var err error
		issued, err = l.redeem(tx, row)
		return err
	})
	return issued, err
}

// Poll gives a command line that waits its login, once somebody allowed it.
func (l *Logins) Poll(ctx context.Context, device secret.Text) (Issued, error) {
	var issued Issued
	var waits error
	err := l.asked(ctx, device, ErrAskGone, func(tx *db.Tx, row db.AskRow) error {
		switch {
		case row.Challenge != "":
			return ErrAskGone
		case row.DeniedAt != nil:
			return ErrDenied
		case row.MemberID.IsZero() && row.PolledAt != nil && tx.Now.Sub(*row.PolledAt) < AskInterval/2:
			return ErrSlowDown
		case row.MemberID.IsZero():
			waits = ErrPending // committed: when it was asked is remembered
			return tx.PollAsk(row.AskID)
		}
		var err error
		issued, err = l.redeem(tx, row)
		return err
	})
	if err == nil {
		err = waits
	}
	return issued, err
}

func (l *Logins) asked(ctx context.Context, held secret.Text, absent error, do func(tx *db.Tx, row db.AskRow) error) error {
	tenant, ask, err := parseHeld(held, id.ParseAsk)
	if err != nil {
		return absent
	}
	return l.db.InTenant(ctx, tenant, func(tx *db.Tx) error {
		if err := tx.SharePeople(); err != nil { // so that nobody is suspended meanwhile
			return err
		}
		row, found, err := tx.Ask(ask)
		if err != nil {
			return err
		}
		if !found || !holds(l.asks, held, row.SecretHash) {
			return absent
		}
		return do(tx, row)
	})
}

// redeem uses an allowed wish up. Who allowed it may have been suspended since.
func (l *Logins) redeem(tx *db.Tx, row db.AskRow) (Issued, error) {
	if err := tx.UseAsk(row.AskID); err != nil {
		return Issued{}, err
	}
	who := Actor{Tenant: tx.Tenant, Kind: ActorPerson, Member: row.MemberID}
	if err := l.members.load(tx, &who); err != nil {
		if fault.KindOf(err) == fault.KindNotFound {
			return Issued{}, ErrGrant
		}
		return Issued{}, err
	}
	if err := l.access.Check(who, "login", "begin"); err != nil {
		return Issued{}, err
	}
	tree, err := treeAt(tx, time.Time{})
	if err != nil {
		return Issued{}, err
	}
	node, _ := tree.Node(row.NodeID)
	ends := orZero(row.LoginExpiresAt)
	if !ends.After(tx.Now) {
		return Issued{}, ErrGrant
	}
	return l.begin(tx, who, node.Code, row.Client, ends)
}
