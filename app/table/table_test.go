package table_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app/table"
)

func layout() table.Layout {
	return table.Layout{Must: []string{"code", "amount"}, May: []string{"memo"}, MaxLines: 3}
}

func TestColumnsComeInAnyOrder(t *testing.T) {
	t.Parallel()
	read := table.Read([]byte("\ufeffmemo,amount,code\r\n\"a, b\", 1.50 ,0041\r\n"), layout())
	require.Empty(t, read.Flaws)
	require.Len(t, read.Lines, 1)
	line := read.Lines[0]
	require.Equal(t, []string{"0041", "1.50", "a, b", ""}, []string{line.Cell("code"), line.Cell("amount"), line.Cell("memo"), line.Cell("else")})
	require.Equal(t, 2, line.Number)
	require.True(t, read.Has("memo"))
	require.False(t, read.Has("else"))
}

func TestAFlawSaysWhereItIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, file, want string }{
		{"nothing", "", "The file is empty: its first line names the columns code, amount."},
		{"no lines", "code,amount\n", "The file has columns and no lines."},
		{"unknown column", "code,amount,amountt\n", `Line 1, column 3 (amountt): "amountt" is no column here. Known: code, amount, memo.`},
		{"twice", "code,amount,code\n", "Line 1, column 3 (code): The column code is named twice."},
		{"missing", "code\nx\n", "Line 1: The column amount is missing."},
		{"too few fields", "code,amount\nx\n", "Line 2: The line has 1 fields; the first line names 2."},
		{"too many lines", "code,amount\na,1\nb,1\nc,1\nd,1\n", "Line 5: There are more than 3 lines. Nothing from here on was read."},
		{"no CSV", "code,amount\nx,\"1\n", "Line 2: The line cannot be read as CSV"},
		{"too large", strings.Repeat("x", table.MaxBytes+1), "The file has more than 8 MB."},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			read := table.Read([]byte(c.file), layout())
			require.NotEmpty(t, read.Flaws)
			require.Contains(t, read.Flaws[0].String(), c.want)
		})
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte("code,amount\n1,2\n"))
	f.Add([]byte("\ufeffcode,amount,memo\n\"1\n\",2,=x\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		read := table.Read(file, layout())
		require.LessOrEqual(t, len(read.Flaws), table.MaxFlaws+len(layout().Must))
		require.LessOrEqual(t, len(read.Lines), layout().MaxLines)
		if len(read.Flaws) == 0 {
			require.NotEmpty(t, read.Lines)
		}
	})
}

// TestAFlawIsNotAsLongAsTheFile: what is told of a file fits a page, whatever is in the file.
func TestAFlawIsNotAsLongAsTheFile(t *testing.T) {
	t.Parallel()
	read := table.Read([]byte(strings.Repeat("x", 1<<20)+",a\n1,2\n"), table.Layout{Must: []string{"a"}, MaxLines: 10})
	require.NotEmpty(t, read.Flaws)
	require.Less(t, len(read.Flaws[0].String()), 1000)
}
