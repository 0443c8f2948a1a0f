package deliver

import (
	"bytes"
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

	"tollbook/app"
	"tollbook/app/notice"
)

// put writes a packet into a company's own bucket, once: an object of its name that is
// there already and holds the same bytes is what was to be written.
func (h *Hooks) put(ctx context.Context, o *app.PacketObject) notice.Outcome {
	endpoint, err := url.Parse(o.Endpoint)
	if err != nil {
		return notice.Outcome{Permanent: true, Answer: "The bucket's endpoint cannot be read."}
	}
	client, err := minio.New(endpoint.Host, &minio.Options{
		Creds: credentials.NewStaticV4(o.AccessKey, o.SecretKey.Reveal(), ""), Secure: endpoint.Scheme == "https", Region: o.Region, Transport: h.transport, MaxRetries: 1,
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
