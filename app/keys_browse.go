package app

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/money"
	"tollbook/app/period"
	"tollbook/db"
)

// MaxKeys bounds the keys that are sorted and filtered at once, the newest.
const MaxKeys = 5000

// KeyUseMonths is how many months back, besides this one, a key's last use is looked for.
const KeyUseMonths = 3

// KeyUsed is a key with what it was used for.
type KeyUsed struct {
	KeyView
	Requests int64     // this month
	Spend    money.Sum // this month, exact
	LastDay  time.Time // the latest UTC day with a request; zero when there was none lately
}

// KeyFilter narrows and orders keys; zero fields do neither.
type KeyFilter struct {
	Text     string // in the label, the key's last four characters or its id
	NodeCode string // charges it or something below it
	State    string // active, expired or revoked
	Sort     string // one of KeySorts; a minus before it reverses; empty: newest first
}

// KeySorts lists what keys can be sorted by.
func KeySorts() []string {
	return []string{"label", "cost_center", "made", "ends", "last_used", "spend"}
}

// KeyBook is the keys that match, and what they are sums of.
type KeyBook struct {
	Month period.Month
	Since time.Time // last use was looked for from here
	Rows  []KeyUsed
	Spend money.Sum // of Rows
	All   int       // keys before filtering
	Cut   bool      // there are older keys than these
}

// Browse lists keys with this month's spend, filtered and sorted.
func (k *Keys) Browse(ctx context.Context, who Actor, f KeyFilter) (KeyBook, error) {
	if err := k.access.Check(who, "key", "read"); err != nil {
		return KeyBook{}, err
	}
	if f.State != "" && !slices.Contains([]string{KeyActive, KeyExpired, KeyRevoked}, f.State) {
		return KeyBook{}, fault.Invalid("state", "state_unknown", "A key is active, expired or revoked; not %.40q.", f.State)
	}
	if f.Sort != "" && !slices.Contains(KeySorts(), strings.TrimPrefix(f.Sort, "-")) {
		return KeyBook{}, fault.Invalid("sort", "sort_unknown", "Keys are sorted by %s; not by %.40q.", strings.Join(KeySorts(), ", "), f.Sort)
	}
	var book KeyBook
	err := k.db.ReadTenant(ctx, who.Tenant, func(tx *db.Tx) error {
		book = KeyBook{Month: period.MonthOf(tx.Now), Since: usedSince(tx.Now).Start()}
		tree, err := treeAt(tx, time.Time{})
		if err != nil {
			return err
		}
		scope := k.access.Scope(who, "key", "read")
		var below []id.Node
		if f.NodeCode != "" {
			node, err := findNode(tx, f.NodeCode, scope)
			if err != nil {
				return err
			}
			below = []id.Node{node}
		}
		rows, err := tx.Keys(id.Key{}, MaxKeys+1)
		if err != nil {
			return err
		}
		if book.Cut = len(rows) > MaxKeys; book.Cut {
			rows = rows[:MaxKeys]
		}
		use, err := keyUse(tx)
		if err != nil {
			return err
		}
		for _, r := range rows {
			if scope != nil && !visible(tree, r.NodeID, scope) {
				continue
			}
			book.All++
			one := used(keyView(r, tree), use[r.ID])
			if f.matches(&one, tx.Now) && (below == nil || visible(tree, r.NodeID, below)) {
				book.Rows = append(book.Rows, one)
				book.Spend.AddSum(&one.Spend)
			}
		}
		return nil
	})
	f.order(book.Rows)
	return book, err
}

func (f KeyFilter) matches(k *KeyUsed, now time.Time) bool {
	if f.State != "" && k.State(now) != f.State {
		return false
	}
	text := strings.ToLower(strings.TrimSpace(f.Text))
	return text == "" || strings.Contains(strings.ToLower(k.Label), text) || k.Hint == text || k.ID.String() == text
}

// order sorts in place; equals stay newest first.
func (f KeyFilter) order(rows []KeyUsed) {
	var by func(a, b *KeyUsed) int
	switch strings.TrimPrefix(f.Sort, "-") {
	case "label":
		by = func(a, b *KeyUsed) int { return strings.Compare(strings.ToLower(a.Label), strings.ToLower(b.Label)) }
	case "cost_center":
		by = func(a, b *KeyUsed) int { return strings.Compare(a.CostCenter, b.CostCenter) }
	case "made":
		by = func(a, b *KeyUsed) int { return a.RecordedAt.Compare(b.RecordedAt) }
	case "ends":
		by = func(a, b *KeyUsed) int { return a.ends().Compare(b.ends()) }
	case "last_used":
		by = func(a, b *KeyUsed) int { return a.LastDay.Compare(b.LastDay) }
	case "spend":
		by = func(a, b *KeyUsed) int { return cmp.Or(a.Spend.Cmp(&b.Spend), cmp.Compare(a.Requests, b.Requests)) }
	default:
		return
	}
	reverse := 1
	if strings.HasPrefix(f.Sort, "-") {
		reverse = -1
	}
	slices.SortStableFunc(rows, func(a, b KeyUsed) int { return reverse * by(&a, &b) })
}

// ends is when the key ended or will; what has no end comes last.
func (k KeyView) ends() time.Time {
	switch {
	case !k.RevokedAt.IsZero():
		return k.RevokedAt
	case !k.ExpiresAt.IsZero():
		return k.ExpiresAt
	}
	return time.Unix(1<<40, 0)
}

func usedSince(now time.Time) period.Month {
	month := period.MonthOf(now)
	for range KeyUseMonths {
		month = month.Previous()
	}
	return month
}

// usedFor is what one key was used for.
type usedFor struct {
	requests int64
	spend    money.Sum
	lastDay  time.Time
}

func keyUse(tx *db.Tx) (map[id.Key]usedFor, error) {
	rows, err := tx.KeyUse(period.MonthOf(tx.Now), usedSince(tx.Now))
	if err != nil {
		return nil, err
	}
	use := make(map[id.Key]usedFor, len(rows))
	for _, r := range rows {
		spend, err := money.SumOfPico(r.ChargePico)
		if err != nil {
			return nil, err
		}
		use[r.KeyID] = usedFor{requests: r.Requests, spend: spend, lastDay: orZero(r.LastDay)}
	}
	return use, nil
}

func used(view KeyView, use usedFor) KeyUsed {
	return KeyUsed{KeyView: view, Requests: use.requests, Spend: use.spend, LastDay: use.lastDay}
}
