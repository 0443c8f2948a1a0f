package reconcile_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"tollbook/app/money"
	"tollbook/app/reconcile"
)

func knownNode(code string) bool { return code == "CC-1" || code == "CC-2" }

func TestAFileOfSpendIsTakenWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	const head = "node,source,description,amount_usd\n"
	list, wrong := reconcile.ReadSpend([]byte("\ufeff"+head+"CC-1,Claude seats,\"Team, November\",1200.00\nCC-2,Bedrock,,-3.5\n"), knownNode)
	require.Empty(t, wrong)
	require.Equal(t, []reconcile.Spend{{Node: "CC-1", Source: "Claude seats", Memo: "Team, November", Cents: 120_000}, {Node: "CC-2", Source: "Bedrock", Cents: money.Cents(-350)}}, list)
	for name, c := range map[string]struct {
		file string
		want reconcile.Wrong
	}{
		"other columns":       {"node,source,amount_usd\nCC-1,x,1\n", reconcile.Wrong{Line: 1}},
		"a column too many":   {"node,source,description,amount_usd,more\nCC-1,x,y,1,2\n", reconcile.Wrong{Line: 1, Column: "more"}},
		"too many lines":      {head + strings.Repeat("CC-9,x,y,1\n", 501), reconcile.Wrong{Line: 502}},
		"nothing":             {"", reconcile.Wrong{Line: 1}},
		"no line":             {head, reconcile.Wrong{Line: 1}},
		"a quote amiss":       {head + "CC\"1,seats,x,1.00\n", reconcile.Wrong{Line: 2}},
		"a quote amiss later": {head + "CC-1,seats,x,1.00\nCC-1,y,x,\"1.00\n", reconcile.Wrong{Line: 3}},
		"a node that is no":   {head + "CC-9,x,,1\n", reconcile.Wrong{Line: 2, Column: "node"}},
		"no source":           {head + "CC-1,x,,1\nCC-1,,,1\n", reconcile.Wrong{Line: 3, Column: "source"}},
		"a long memo":         {head + "CC-1,x," + strings.Repeat("y", 121) + ",1\n", reconcile.Wrong{Line: 2, Column: "description"}},
		"another currency":    {head + "CC-1,x,,1 EUR\n", reconcile.Wrong{Line: 2, Column: "amount_usd"}},
		"zero":                {head + "CC-1,x,,0.00\n", reconcile.Wrong{Line: 2, Column: "amount_usd"}},
		"three decimals":      {head + "CC-1,x,,1.005\n", reconcile.Wrong{Line: 2, Column: "amount_usd"}},
		"twice":               {head + "CC-1,x,y,1\nCC-1,x,y,2\n", reconcile.Wrong{Line: 3, Column: "node"}},
		"five columns":        {head + "CC-1,x,y,1,2\n", reconcile.Wrong{Line: 2}},
		"no UTF-8":            {head + "CC-1,\xff,y,1\n", reconcile.Wrong{Line: 1}},
		"too long":            {head + strings.Repeat("CC-1,x,y,1\n", 40_000), reconcile.Wrong{Line: 1}},
	} {
		list, wrong := reconcile.ReadSpend([]byte(c.file), knownNode)
		require.Empty(t, list, name)
		require.NotEmpty(t, wrong, name)
		require.NotEmpty(t, wrong[0].Reason, name)
		wrong[0].Reason = ""
		require.Equal(t, c.want, wrong[0], name)
	}
}

func FuzzReadSpend(f *testing.F) {
	f.Add([]byte("node,source,description,amount_usd\nCC-1,x,y,1\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		list, wrong := reconcile.ReadSpend(file, knownNode)
		require.NotEqual(t, len(list) == 0, len(wrong) == 0)
		for _, s := range list {
			require.True(t, knownNode(s.Node))
			require.NotZero(t, s.Cents)
		}
	})
}
