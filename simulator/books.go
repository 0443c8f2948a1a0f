package simulator

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"
)

// line is one line of the books' file: a fact, or a promise that ids below a number
// may have been handed out, also to requests that a kill kept out of the books, or
// what was planted, agreed or stated about the organization's objects.
type line struct {
	Fact        *Fact      `json:"fact,omitempty"`
	ReservedIDs uint64     `json:"reserved_ids,omitempty"`
	Plant       *Plant     `json:"plant,omitempty"`
	Terms       *Terms     `json:"terms,omitempty"`
	Key         *apiKey    `json:"key,omitempty"`
	Workspace   *workspace `json:"workspace,omitempty"`
}

// entry finds a fact in the file. Session and request are hashes: a reader compares
// the words themselves.
type entry struct {
	occurred int64 // unix nanoseconds
	offset   int64
	session  uint64
	length   int32
}

type dayModel struct {
	day   string // UTC
	model string
}

// total is one day of one model.
type total struct {
	requests    int64
	tokens      Tokens
	webSearches int64
	pico        big.Int
}

// addFact adds a fact to the totals of its day, each turn under its own model.
func addFact(totals map[dayModel]*total, day string, f *Fact) {
	for turn := range f.billed() {
		key := dayModel{day, turn.Model}
		t := totals[key]
		if t == nil {
			t = &total{}
			totals[key] = t
		}
		t.tokens.add(turn.Tokens)
		t.pico.Add(&t.pico, big.NewInt(turn.BilledPico))
		if turn.Kind == kindAnswer {
			t.requests++
			t.webSearches += f.WebSearchRequests
		}
	}
}

// books is the append-only file and the index over it.
type books struct {
	mu       sync.Mutex
	file     *os.File
	closed   bool
	end      int64
	seed     maphash.Seed
	entries  []entry // by time, then by place in the file, unless unsorted
	unsorted bool
	byID     map[uint64]int64 // request id's hash -> offset; a 64-bit collision would hide the older row from lookups by id
	totals   map[dayModel]*total
	nextID   uint64
	reserved uint64

	plants     []*Plant
	terms      *Terms // nil: never stated
	keys       map[string]*apiKey
	workspaces map[string]*workspace
}

var errClosed = errors.New("simulator: the books are closed")

// openBooks replays the file in dir and drops a torn last line: its request never
// got its last byte. Damage anywhere else is an error.
func openBooks(dir string) (*books, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("open books: %w", err)
	}
	file, err := os.OpenFile(filepath.Join(dir, "books.jsonl"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open books: %w", err)
	}
	b := &books{
		file: file, seed: maphash.MakeSeed(), byID: map[uint64]int64{}, totals: map[dayModel]*total{},
		keys: map[string]*apiKey{}, workspaces: map[string]*workspace{},
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("open books: %s is in use by another simulator: %w", dir, err), file.Close())
	}
	if err := b.replay(); err != nil {
		return nil, errors.Join(fmt.Errorf("open books in %s: %w", dir, err), file.Close())
	}

	return b, nil
}

func (b *books) replay() error {
	reader := bufio.NewReaderSize(b.file, 1<<20)
	for number := 1; ; number++ {
		raw, err := reader.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			if len(raw) > 0 {
				return b.file.Truncate(b.end)
			}

			return nil
		}
		if err != nil {
			return fmt.Errorf("line %d: %w", number, err)
		}
		var l line
		if err := json.Unmarshal(raw, &l); err != nil {
			if _, peekErr := reader.Peek(1); errors.Is(peekErr, io.EOF) {
				return b.file.Truncate(b.end) // torn by a power cut: length grew, bytes did not
			}

			return fmt.Errorf("line %d is damaged: %w", number, err)
		}
		b.restore(&l, len(raw))
		b.reserved = max(b.reserved, l.ReservedIDs)
		b.nextID = b.reserved
		b.end += int64(len(raw))
	}
}

// restore takes in a line that is in the file at the end of what was read so far.
func (b *books) restore(l *line, length int) {
	switch {
	case l.Fact != nil:
		b.index(l.Fact, b.end, length)
	case l.Plant != nil:
		b.plants = append(b.plants, l.Plant)
	case l.Terms != nil:
		b.terms = l.Terms
	case l.Key != nil:
		b.keys[l.Key.ID] = l.Key
	case l.Workspace != nil:
		b.workspaces[l.Workspace.ID] = l.Workspace
	}
}

// keep writes one line that is no fact, then lets apply take it in.
func (b *books) keep(l line, apply func()) error {
	raw, err := encodeLine(l)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.write(raw); err != nil {
		return err
	}
	apply()

	return nil
}

// index adds a fact that is in the file at offset.
func (b *books) index(f *Fact, offset int64, length int) {
	e := entry{occurred: f.OccurredAt.UnixNano(), offset: offset, session: b.hash(f.SessionID), length: int32(length)}
	if n := len(b.entries); n > 0 && b.entries[n-1].occurred > e.occurred {
		b.unsorted = true
	}
	b.entries = append(b.entries, e)
	b.byID[b.hash(f.RequestID)] = offset
	b.observe(f)
	addFact(b.totals, f.OccurredAt.UTC().Format(time.DateOnly), f)
}

func (b *books) hash(word string) uint64 { return maphash.String(b.seed, word) }

// append writes one fact as one line with one write(2): from then on only the loss
// of the machine loses it.
func (b *books) append(f *Fact) error {
	raw, err := encodeLine(line{Fact: f})
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.entries) >= maxFacts {
		return fmt.Errorf("books are full at %d facts", maxFacts)
	}
	offset := b.end
	if err := b.write(raw); err != nil {
		return err
	}
	b.index(f, offset, len(raw))

	return nil
}

// write puts whole lines at the end; a short write is taken back, so that what
// follows never stands behind half a line.
func (b *books) write(raw []byte) error {
	if b.closed {
		return errClosed
	}
	if _, err := b.file.WriteAt(raw, b.end); err != nil {
		return errors.Join(fmt.Errorf("write books: %w", err), b.file.Truncate(b.end))
	}
	b.end += int64(len(raw))

	return nil
}

func encodeLine(l line) ([]byte, error) {
	raw, err := json.Marshal(l)
	if err != nil {
		return nil, fmt.Errorf("encode line of the books: %w", err)
	}
	if len(raw) >= maxLineBytes {
		return nil, fmt.Errorf("line of the books has %d bytes", len(raw))
	}

	return append(raw, '\n'), nil
}

// issue hands out the next number for ids. Numbers are promised in blocks before
// the first of a block is used, which is what keeps them unique across a kill.
func (b *books) issue() (uint64, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.nextID >= b.reserved {
		raw, err := encodeLine(line{ReservedIDs: b.reserved + idBlock})
		if err != nil {
			return 0, err
		}
		if err := b.write(raw); err != nil {
			return 0, err
		}
		b.reserved += idBlock
	}
	b.nextID++

	return b.nextID, nil
}

// appendNew writes those facts that are not in the books yet, in one write.
func (b *books) appendNew(facts []Fact) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var (
		raw   bytes.Buffer
		added []entry
		fresh []*Fact
	)
	seen := make(map[string]bool, len(facts))
	for i := range facts {
		f := &facts[i]
		if seen[f.RequestID] {
			continue
		}
		known, err := b.knows(f.RequestID)
		if err != nil {
			return 0, err
		}
		if known {
			continue
		}
		seen[f.RequestID] = true
		encoded, err := encodeLine(line{Fact: f})
		if err != nil {
			return 0, err
		}
		added = append(added, entry{offset: b.end + int64(raw.Len()), length: int32(len(encoded))})
		fresh = append(fresh, f)
		raw.Write(encoded)
	}
	if len(b.entries)+len(fresh) > maxFacts {
		return 0, fmt.Errorf("books are full at %d facts", maxFacts)
	}
	if err := b.write(raw.Bytes()); err != nil {
		return 0, err
	}
	for i, f := range fresh {
		b.index(f, added[i].offset, int(added[i].length))
	}

	return len(fresh), nil
}

// knows needs the lock. The hash finds the row, the row's own words decide.
func (b *books) knows(requestID string) (bool, error) {
	offset, found := b.byID[b.hash(requestID)]
	if !found {
		return false, nil
	}
	f, err := b.readAt(offset, maxLineBytes)

	return err == nil && f.RequestID == requestID, err
}

// readAt reads the fact whose line starts at offset and has at most length bytes.
func (b *books) readAt(offset int64, length int) (*Fact, error) {
	buf := make([]byte, min(length, 1<<10))
	for {
		n, err := b.file.ReadAt(buf, offset)
		if end := bytes.IndexByte(buf[:n], '\n'); end >= 0 {
			var l line
			if err := json.Unmarshal(buf[:end], &l); err != nil || l.Fact == nil {
				return nil, fmt.Errorf("read books at %d: not a fact: %w", offset, err)
			}

			return l.Fact, nil
		}
		if err != nil || len(buf) >= length {
			return nil, fmt.Errorf("read books at %d: no whole line: %w", offset, err)
		}
		buf = make([]byte, min(length, 2*len(buf)))
	}
}

// filter selects facts. Zero times and empty words do not restrict.
type filter struct {
	session, requestID string
	from, to           time.Time // half open
	after              cursor
	limit              int
}

// cursor is the place of the last fact a reader has seen.
type cursor struct{ occurred, offset int64 }

// find returns facts oldest first and, when there may be more, where to go on.
func (b *books) find(q filter) ([]*Fact, *cursor, error) {
	if q.requestID != "" {
		return b.findOne(q)
	}
	candidates := b.window(q)
	session := b.hash(q.session)
	facts := make([]*Fact, 0, min(q.limit, 128))
	for i, e := range candidates {
		if q.session != "" && e.session != session {
			continue
		}
		f, err := b.readAt(e.offset, int(e.length))
		if err != nil {
			return nil, nil, err
		}
		if q.session != "" && f.SessionID != q.session {
			continue
		}
		facts = append(facts, f)
		if len(facts) == q.limit && i+1 < len(candidates) {
			return facts, &cursor{e.occurred, e.offset}, nil
		}
	}

	return facts, nil, nil
}

func (b *books) findOne(q filter) ([]*Fact, *cursor, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	offset, found := b.byID[b.hash(q.requestID)]
	if !found {
		return nil, nil, nil
	}
	f, err := b.readAt(offset, maxLineBytes)
	if err != nil {
		return nil, nil, err
	}
	outside := f.OccurredAt.Before(q.from) || (!q.to.IsZero() && !f.OccurredAt.Before(q.to))
	if f.RequestID != q.requestID || outside || (q.session != "" && f.SessionID != q.session) {
		return nil, nil, nil
	}

	return []*Fact{f}, nil, nil
}

// window copies the entries between from and to and after the cursor. Rows are read
// outside the lock, so that a long listing does not hold up requests.
func (b *books) window(q filter) []entry {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.unsorted {
		slices.SortFunc(b.entries, compareEntries)
		b.unsorted = false
	}
	start, end := 0, len(b.entries)
	if !q.from.IsZero() {
		start, _ = slices.BinarySearchFunc(b.entries, entry{occurred: q.from.UnixNano(), offset: -1}, compareEntries)
	}
	if q.after != (cursor{}) {
		next, _ := slices.BinarySearchFunc(b.entries, entry{occurred: q.after.occurred, offset: q.after.offset + 1}, compareEntries)
		start = max(start, next)
	}
	if !q.to.IsZero() {
		end, _ = slices.BinarySearchFunc(b.entries, entry{occurred: q.to.UnixNano(), offset: -1}, compareEntries)
	}
	if start >= end {
		return nil
	}
	if q.session == "" && q.limit > 0 { // no more than one page and the question whether there is another
		end = min(end, start+q.limit+1)
	}

	return slices.Clone(b.entries[start:end])
}

func compareEntries(x, y entry) int {
	return cmp.Or(cmp.Compare(x.occurred, y.occurred), cmp.Compare(x.offset, y.offset))
}

// sums returns day and model totals between from and to. Whole days come from the
// running totals; of a day that is only partly inside, the rows are read.
func (b *books) sums(from, to time.Time) (map[dayModel]*total, error) {
	sums := map[dayModel]*total{}
	partial := map[string]bool{}
	b.mu.Lock()
	for key, sum := range b.totals {
		day, err := time.Parse(time.DateOnly, key.day)
		if err != nil {
			b.mu.Unlock()

			return nil, fmt.Errorf("sum books: %w", err)
		}
		next := day.AddDate(0, 0, 1)
		switch {
		case !next.After(from) || (!to.IsZero() && !day.Before(to)):
		case day.Before(from) || (!to.IsZero() && next.After(to)):
			partial[key.day] = true
		default:
			whole := &total{requests: sum.requests, tokens: sum.tokens, webSearches: sum.webSearches}
			whole.pico.Set(&sum.pico)
			sums[key] = whole
		}
	}
	b.mu.Unlock()
	for day := range partial {
		if err := b.sumPart(sums, day, from, to); err != nil {
			return nil, err
		}
	}

	return sums, nil
}

func (b *books) sumPart(sums map[dayModel]*total, day string, from, to time.Time) error {
	start, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return fmt.Errorf("sum books: %w", err)
	}
	end := start.AddDate(0, 0, 1)
	if from.After(start) {
		start = from
	}
	if !to.IsZero() && to.Before(end) {
		end = to
	}
	for _, e := range b.window(filter{from: start, to: end}) {
		f, err := b.readAt(e.offset, int(e.length))
		if err != nil {
			return err
		}
		addFact(sums, day, f)
	}

	return nil
}

func (b *books) sync() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return errClosed
	}

	return b.file.Sync()
}

func (b *books) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return nil
	}
	b.closed = true

	return errors.Join(b.file.Sync(), b.file.Close())
}
