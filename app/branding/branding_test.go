package branding_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"tollbook/app/branding"
	"tollbook/app/fault"
)

func picture(width, height int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	for x := range width {
		for y := range height {
			m.Set(x, y, color.NRGBA{R: uint8(x), G: uint8(y), B: 200, A: uint8(255 - x%40)})
		}
	}
	return m
}

func asPNG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, png.Encode(&out, m))
	return out.Bytes()
}

func asJPEG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var out bytes.Buffer
	require.NoError(t, jpeg.Encode(&out, m, nil))
	return out.Bytes()
}

// chunk adds a chunk to a PNG before its pixels.
func chunk(sent []byte, kind, content string) []byte {
	body := append([]byte(kind), content...)
	made := binary.BigEndian.AppendUint32(nil, uint32(len(content)))
	made = binary.BigEndian.AppendUint32(append(made, body...), crc32.ChecksumIEEE(body))
	const head = 8 + 25 // signature, IHDR
	return append(append(bytes.Clone(sent[:head]), made...), sent[head:]...)
}

// sized is a PNG that says it has other sides than it has.
func sized(sent []byte, width, height uint32) []byte {
	made := bytes.Clone(sent)
	binary.BigEndian.PutUint32(made[16:], width)
	binary.BigEndian.PutUint32(made[20:], height)
	binary.BigEndian.PutUint32(made[29:], crc32.ChecksumIEEE(made[12:29]))
	return made
}

func TestALogoIsItsPixelsEncodedAnew(t *testing.T) {
	t.Parallel()
	m := picture(120, 40)
	sent := append(chunk(asPNG(t, m), "tEXt", "Comment\x00<script>alert(1)</script>"), "<script>after</script>"...)
	logo, err := branding.ReadLogo(sent)
	require.NoError(t, err)
	require.Equal(t, []any{branding.TypePNG, 120, 40}, []any{logo.Type, logo.Width, logo.Height})
	require.NotContains(t, string(logo.Content), "script")
	require.Equal(t, sha256.Sum256(logo.Content), logo.SHA256)
	back, err := png.Decode(bytes.NewReader(logo.Content))
	require.NoError(t, err)
	for x := range 120 {
		for y := range 40 {
			require.Equal(t, m.At(x, y), back.At(x, y))
		}
	}
	again, err := branding.ReadLogo(sent)
	require.NoError(t, err)
	require.Equal(t, logo, again, "the same picture is the same bytes")

	photo, err := branding.ReadLogo(append(asJPEG(t, m), "<script>"...))
	require.NoError(t, err)
	require.Equal(t, branding.TypeJPEG, photo.Type)
	require.NotContains(t, string(photo.Content), "script")
}

func TestALogoIsRefused(t *testing.T) {
	t.Parallel()
	noise := image.NewNRGBA(image.Rect(0, 0, 900, 900))
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise.Pix {
		noise.Pix[i] = uint8(random.Uint32())
	}
	fine := asPNG(t, picture(100, 100))
	scans := append(asJPEG(t, picture(100, 100)), bytes.Repeat([]byte{0xff, 0xda}, 100)...)
	for name, c := range map[string]struct {
		sent []byte
		code string
	}{
		"nothing":                {nil, "logo_form"},
		"a drawing":              {[]byte(`<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>`), "logo_form"},
		"a page":                 {[]byte(`<!doctype html><script>alert(1)</script>`), "logo_form"},
		"another picture":        {[]byte("GIF89a\x01\x00\x01\x00\x00\x00\x00;"), "logo_form"},
		"a head alone":           {[]byte("\x89PNG\r\n\x1a\n"), "logo_form"},
		"cut":                    {fine[:len(fine)/2], "logo_form"},
		"a JPEG cut":             {asJPEG(t, picture(100, 100))[:400], "logo_form"},
		"pixels that are a bomb": {sized(fine, 60_000, 60_000), "logo_pixels"},
		"an impossible side":     {sized(fine, 1<<31-1, 1<<31-1), "logo_form"},
		"too wide":               {asPNG(t, picture(2001, 16)), "logo_pixels"},
		"too many pixels":        {asPNG(t, image.NewGray(image.Rect(0, 0, 1001, 1000))), "logo_pixels"},
		"too small":              {asPNG(t, picture(15, 100)), "logo_pixels"},
		"too many bytes":         {append(bytes.Clone(fine), make([]byte, branding.MaxUpload)...), "logo_large"},
		"noise":                  {asPNG(t, noise), "logo_large"},
		"scans without end":      {scans, "logo_form"},
	} {
		_, err := branding.ReadLogo(c.sent)
		require.Error(t, err, name)
		require.Equal(t, []any{fault.KindInvalid, c.code, "logo"}, []any{fault.From(err).Kind, fault.From(err).Code, fault.From(err).Field}, name)
	}
}

func FuzzReadLogo(f *testing.F) {
	f.Add(asPNG(f, picture(20, 20)))
	f.Add(asJPEG(f, picture(20, 20)))
	f.Add(sized(asPNG(f, picture(20, 20)), 999, 999))
	f.Fuzz(func(t *testing.T, sent []byte) {
		logo, err := branding.ReadLogo(sent)
		if err != nil {
			require.Equal(t, fault.KindInvalid, fault.From(err).Kind)
			return
		}
		require.LessOrEqual(t, len(logo.Content), branding.MaxBytes)
		again, err := branding.ReadLogo(logo.Content)
		require.NoError(t, err, "what is kept can be read")
		require.Equal(t, []any{logo.Type, logo.Width, logo.Height}, []any{again.Type, again.Width, again.Height})
	})
}

func TestAnAccentCanBeRead(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]branding.Accent{"": "", "#1D4ED8\n": "#1d4ed8", "#767676": "#767676", "#000000": "#000000", "#a84a00": "#a84a00"} {
		got, err := branding.ParseAccent(text)
		require.NoError(t, err, text)
		require.Equal(t, want, got)
	}
	for text, words := range map[string]string{
		"#777777": "a contrast of 4.47:1", "#ffffff": "a contrast of 1.00:1", "#ffae66": "4.5:1", // one shade lighter than the lightest gray that passes
		"red": "such as #1d4ed8", "#12345": "is not", "#12345g": "is not", "#1d4ed8;}*{": "is not", "url(x)": "is not", "#fff": "is not",
	} {
		_, err := branding.ParseAccent(text)
		require.Equal(t, fault.KindInvalid, fault.KindOf(err), text)
		require.Contains(t, fault.From(err).Message, words)
		require.Equal(t, "accent", fault.From(err).Field)
	}
	require.Equal(t, 2100, branding.Accent("#000000").Contrast())
	require.Equal(t, 2100, branding.Accent("").Contrast())
	require.Equal(t, 100, branding.Accent("#ffffff").Contrast())
	require.Equal(t, "4.05:1", branding.Ratio(405))
}

func TestADarkerAccentStandsOutMore(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		shade := rapid.IntRange(0, 254).Draw(t, "shade")
		gray := func(n int) branding.Accent {
			const digits = "0123456789abcdef"
			pair := string([]byte{digits[n>>4], digits[n&15]})
			return branding.Accent("#" + pair + pair + pair)
		}
		require.GreaterOrEqual(t, gray(shade).Contrast(), gray(shade+1).Contrast())
	})
}
