package focus

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"

	"tollbook/app/export"
	"tollbook/app/fault"
)

// Version is that of the specification.
const Version = "1.2"

// ErrRefused reports a dataset that its check has problems with. Nothing was written.
var ErrRefused = fault.New(fault.KindConflict, "export_refused", "The export has problems, so nothing was written. Its check lists them by row and column.")

// File is one finished file and what is known of it.
type File struct {
	Name     string
	Content  []byte
	Manifest export.Manifest
}

// CSV writes a dataset as CSV (RFC 4180, UTF-8, CRLF). The file depends on the dataset alone.
func CSV(d *Dataset, about export.Manifest) (File, error) { return write(d, about, ".csv", asCSV) }

// Parquet writes a dataset as Parquet. The file depends on the dataset alone.
func Parquet(d *Dataset, about export.Manifest) (File, error) {
	return write(d, about, ".parquet", asParquet)
}

func write(d *Dataset, about export.Manifest, suffix string, encode func([]column, []Row) ([]byte, error)) (File, error) {
	if found := Check(d); len(found) > 0 {
		return File{}, ErrRefused.Because(errors.New("row " + strconv.Itoa(found[0].Row) + ": " + found[0].Message))
	}
	all := columns()
	content, err := encode(all, d.Rows)
	if err != nil {
		return File{}, fmt.Errorf("encode %s: %w", d.Name+suffix, err)
	}
	m := about
	m.Report, m.ReportVersion, m.File, m.Rows = "focus_"+strings.ReplaceAll(Version, ".", "_"), 1, d.Name+suffix, len(d.Rows)
	m.Columns = nil
	for i := range all {
		m.Columns = append(m.Columns, all[i].name)
	}
	m.ControlTotals = append(totals(d), about.ControlTotals...)
	return File{Name: m.File, Content: content, Manifest: m.Of(content)}, nil
}

func totals(d *Dataset) []export.Pair {
	var billed, listed, contracted, effective Decimal
	for i := range d.Rows {
		r := &d.Rows[i]
		billed, listed = billed.Plus(r.BilledCost), listed.Plus(r.ListCost)
		contracted, effective = contracted.Plus(r.ContractedCost), effective.Plus(r.EffectiveCost)
	}
	return []export.Pair{
		{Name: "billed_cost", Value: billed.String()}, {Name: "list_cost", Value: listed.String()}, {Name: "contracted_cost", Value: contracted.String()},
		{Name: "effective_cost", Value: effective.String()}, {Name: "invoices", Value: strconv.Itoa(len(d.Invoices))},
	}
}

func asCSV(all []column, rows []Row) ([]byte, error) {
	var out bytes.Buffer
	w := csv.NewWriter(&out)
	w.UseCRLF = true
	line := make([]string, len(all))
	for i := range all {
		line[i] = all[i].name
	}
	_ = w.Write(line) // told by Error
	for i := range rows {
		for k := range all {
			line[k] = all[k].plain(&rows[i])
			if all[k].kind == kindText {
				line[k] = export.Guarded(line[k])
			}
		}
		_ = w.Write(line)
	}
	w.Flush()
	return out.Bytes(), w.Error()
}

// decimalBytes is room for 38 digits and a sign.
const decimalBytes = 16

func schema(all []column) *parquet.Schema {
	group := parquet.Group{}
	for i := range all {
		var node parquet.Node
		switch all[i].kind {
		case kindDecimal:
			node = parquet.Decimal(maxPlaces, maxDigits, parquet.FixedLenByteArrayType(decimalBytes))
		case kindTime:
			node = parquet.Timestamp(parquet.Millisecond)
		default:
			node = parquet.String()
		}
		if !all[i].must {
			node = parquet.Optional(node)
		}
		group[all[i].name] = node
	}
	return parquet.NewSchema("focus", group)
}

// batch is how many rows are made at once.
const batch = 1000

func asParquet(all []column, rows []Row) ([]byte, error) {
	var out bytes.Buffer
	// A group orders its columns by name, as columns does.
	w := parquet.NewWriter(&out, schema(all), parquet.CreatedBy("Tollbook", Version, ""), parquet.Compression(&parquet.Snappy))
	for chunk := range slices.Chunk(rows, batch) {
		made := make([]parquet.Row, len(chunk))
		for i := range chunk {
			for k := range all {
				made[i] = append(made[i], all[k].parquet(&chunk[i], k))
			}
		}
		if _, err := w.WriteRows(made); err != nil {
			return nil, err
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return out.Bytes(), nil
}

func (c *column) parquet(r *Row, place int) parquet.Value {
	value := parquet.NullValue()
	switch c.kind {
	case kindDecimal:
		if d := c.decimal(r); !d.None() {
			value = parquet.FixedLenByteArrayValue(twos(d.at(maxPlaces)))
		}
	case kindTime:
		value = parquet.Int64Value(c.time(r).UnixMilli())
	default:
		if text := c.plain(r); text != "" {
			value = parquet.ByteArrayValue([]byte(text))
		}
	}
	level := 0
	if !c.must && !value.IsNull() {
		level = 1
	}
	return value.Level(0, level, place)
}

// twos is a number as the two's complement of 16 bytes, big end first.
func twos(n *big.Int) []byte {
	if n.Sign() < 0 {
		n = new(big.Int).Add(n, new(big.Int).Lsh(big.NewInt(1), 8*decimalBytes))
	}
	return n.FillBytes(make([]byte, decimalBytes))
}
