package assets

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"
)

//go:embed css fonts img js
var files embed.FS

// Prefix is where assets are served.
const Prefix = "/assets/"

// Set is every asset of this release.
type Set struct{ hash string }

// Load hashes the embedded files, names included.
func Load() (*Set, error) {
	sum := sha256.New()
	err := fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := files.ReadFile(name)
		if err != nil {
			return err
		}
		fmt.Fprintf(sum, "%s\x00%d\x00", name, len(content))
		sum.Write(content)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("hash assets: %w", err)
	}
	return &Set{hash: hex.EncodeToString(sum.Sum(nil)[:8])}, nil
}

// URL is the address of an asset in this release.
func (s *Set) URL(name string) string { return Prefix + s.hash + "/" + name }

// ServeHTTP serves /assets/<hash>/<name>. An address of another release, which a page
// may still ask for while replicas are replaced, gets today's file and no caching.
func (s *Set) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	hash, name, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, Prefix), "/")
	kind := contentType(name)
	content, err := files.ReadFile(name)
	if err != nil || kind == "" {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Cache-Control", "no-cache")
	if hash == s.hash {
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	if r.Method != http.MethodHead {
		_, _ = w.Write(content) //nolint:gosec // content is one of our own embedded files
	}
}

// contentType does not ask the machine's tables, which differ; what is not listed is
// not served.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".css":
		return "text/css; charset=utf-8"
	case ".js":
		return "text/javascript; charset=utf-8"
	case ".woff2":
		return "font/woff2"
	case ".svg":
		return "image/svg+xml"
	}
	return ""
}
