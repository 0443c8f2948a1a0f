package deliver

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"

	"tollbook/app"
	"tollbook/app/notice"
)

const (
	// storeWithin is the bound of all calls of one attempt, where nothing shorter is said: it ends
	// before the attempt does.
	storeWithin = 40 * time.Second
	// maxStoreAnswer bounds what a store says, in bytes, besides an object it gives back.
	maxStoreAnswer = 64 << 10
	// defaultRegion is what requests are signed for where neither the recipient nor the endpoint's name says one.
	defaultRegion = "us-east-1"
)

// bounded ends the body of every answer after so many bytes with an error: the client that
// reads it is not ours, and decodes all it is given.
type bounded struct {
	next  http.RoundTripper
	limit int64
}

// RoundTrip implements http.RoundTripper.
func (b *bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	response, err := b.next.RoundTrip(r)
	if err != nil {
		return nil, err //nolint:wrapcheck // what it is, is asked of it
	}
	response.Body = http.MaxBytesReader(nil, response.Body, b.limit)
	return response, nil
}

// put writes a packet into a company's own bucket, once: an object of its name that is
// there already and holds the same bytes is what was to be written.
func (h *Hooks) put(ctx context.Context, o *app.PacketObject) notice.Outcome {
	ctx, cancel := context.WithTimeout(ctx, max(h.within, min(3*h.within, storeWithin))) // a packet takes longer than a message
	defer cancel()
	endpoint, err := url.Parse(o.Endpoint)
	if err != nil {
		return notice.Outcome{Permanent: true, Answer: "The bucket's endpoint cannot be read."}
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds: credentials.NewStaticV4(o.AccessKey, o.SecretKey.Reveal(), ""), Secure: endpoint.Scheme == "https", MaxRetries: 1,
		Region:    cmp.Or(o.Region, s3utils.GetRegionFromURL(*endpoint), defaultRegion), // else the store would be asked where the bucket lies
		Transport: &bounded{h.transport, int64(len(o.Content)) + maxStoreAnswer},
	})
	if err != nil {
		return notice.Outcome{Permanent: true, Answer: "The bucket's settings cannot be used."}
	}
	ask := minio.PutObjectOptions{ContentType: o.Type, SendContentMd5: true, DisableMultipart: true}
	if o.LockDays > 0 {
		ask.Mode, ask.RetainUntilDate = minio.Compliance, h.now().AddDate(0, 0, o.LockDays).UTC().Truncate(time.Second)
	}
	ask.SetMatchETagExcept("*") // If-None-Match: never over another
	info, err := client.PutObject(ctx, o.Bucket, o.Key, bytes.NewReader(o.Content), int64(len(o.Content)), ask)
	if err == nil {
		return notice.Outcome{Accepted: true, Answer: "Written as " + o.Key + ", " + strconv.FormatInt(info.Size, 10) + " bytes"}
	}
	answer := minio.ToErrorResponse(err)
	if answer.StatusCode == http.StatusPreconditionFailed || answer.StatusCode == http.StatusConflict {
		return h.same(ctx, client, o)
	}
	if answer.StatusCode == 0 || answer.Code == "" {
		return notice.Outcome{Permanent: errors.Is(err, errPrivate), Answer: unreached(err)}
	}
	return notice.Outcome{Answer: fmt.Sprintf("%d %s", answer.StatusCode, line(answer.Code))}
}

// same tells whether the object that is there is the one that was to be written.
func (h *Hooks) same(ctx context.Context, client *minio.Client, o *app.PacketObject) notice.Outcome {
	object, err := client.GetObject(ctx, o.Bucket, o.Key, minio.GetObjectOptions{})
	if err != nil {
		return notice.Outcome{Answer: unreached(err)}
	}
	defer object.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, io.LimitReader(object, int64(len(o.Content))+1)); err != nil {
		return notice.Outcome{Answer: "An object of this name is there and could not be read: " + unreached(err)}
	}
	if hex.EncodeToString(sum.Sum(nil)) != hex.EncodeToString(o.SHA256[:]) {
		return notice.Outcome{Permanent: true, Answer: "Another object of this name is there: nothing was written over it."}
	}
	return notice.Outcome{Accepted: true, Answer: "It was there already, byte for byte."}
}
