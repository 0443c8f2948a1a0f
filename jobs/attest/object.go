package attest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"tollbook/app/fault"
	"tollbook/app/id"
	"tollbook/app/secret"
	"tollbook/app/witness"
)

// within bounds one dialogue with a witness.
const within = 20 * time.Second

// maxObjects bounds the heads of one log that are listed: a quarter of an hour's each, for
// more than twenty years.
const maxObjects = 1 << 20

// S3 says where an object store is and how to speak to it.
type S3 struct {
	Endpoint  *url.URL
	Region    string
	AccessKey string
	SecretKey secret.Text
	Bucket    string
	Prefix    string        // of the objects' names, without a slash at its end
	Retain    time.Duration // how long an object is locked from when it was written
}

// Objects is an object store with lock as a witness: a head is an object that nobody
// overwrites and, until its time, nobody deletes.
type Objects struct {
	cfg    S3
	client *minio.Client
	now    func() time.Time
}

// NewObjects makes one.
func NewObjects(cfg S3, now func() time.Time) (*Objects, error) {
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: within, ResponseHeaderTimeout: within, MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}
	client, err := minio.New(cfg.Endpoint.Host, &minio.Options{
		Creds: credentials.NewStaticV4(cfg.AccessKey, cfg.SecretKey.Reveal(), ""), Secure: cfg.Endpoint.Scheme == "https", Region: cfg.Region,
		Transport: transport, MaxRetries: 2,
	})
	if err != nil {
		return nil, fault.New(fault.KindInvalid, "s3_settings", "The object store's settings cannot be used.").Because(err)
	}
	return &Objects{cfg: cfg, client: client, now: now}, nil
}

// Name is the bucket and where in it.
func (o *Objects) Name() string {
	return strings.TrimSuffix("s3://"+o.cfg.Bucket+"/"+o.cfg.Prefix, "/")
}

// Kind tells what sort of witness it is.
func (o *Objects) Kind() witness.Kind { return witness.Object }

// Check compares what was read back with a head.
func (o *Objects) Check(message, receipt []byte) error {
	if !bytes.Equal(message, receipt) {
		return witness.ErrOther
	}
	return nil
}

// directory is where the heads of one log are.
func (o *Objects) directory(tenant id.Tenant) string {
	return strings.TrimPrefix(o.cfg.Prefix+"/"+tenant.String()+"/", "/")
}

const objectEnd = ".checkpoint"

// key names the object of a head; names of one log sort by size.
func (o *Objects) key(tenant id.Tenant, size int64) string {
	return o.directory(tenant) + fmt.Sprintf("%019d", size) + objectEnd
}

// See writes a head once, locked, and reads it back.
func (o *Objects) See(ctx context.Context, head *witness.Head) (witness.Receipt, error) {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	key := o.key(head.Tenant, head.Size)
	ask := minio.PutObjectOptions{
		ContentType: "text/plain; charset=utf-8", Mode: minio.Compliance, RetainUntilDate: o.now().Add(o.cfg.Retain).UTC().Truncate(time.Second),
		SendContentMd5: true, DisableMultipart: true,
	}
	ask.SetMatchETagExcept("*") // If-None-Match: never over another
	_, err := o.client.PutObject(ctx, o.cfg.Bucket, key, bytes.NewReader(head.Message), int64(len(head.Message)), ask)
	if code := minio.ToErrorResponse(err).StatusCode; err != nil && code != http.StatusPreconditionFailed && code != http.StatusConflict {
		return witness.Receipt{}, fmt.Errorf("write %s: %w", key, err)
	}
	version, err := o.first(ctx, key)
	if err != nil {
		return witness.Receipt{}, err
	}
	kept, err := o.read(ctx, key, version)
	if err != nil {
		return witness.Receipt{}, err
	}
	if !bytes.Equal(kept, head.Message) {
		return witness.Receipt{}, o.differs(key, kept, head)
	}
	until, err := o.lock(ctx, key, version)
	if err != nil {
		return witness.Receipt{}, err
	}
	return witness.Receipt{Bytes: kept, Object: fmt.Sprintf("s3://%s/%s?versionId=%s until %s", o.cfg.Bucket, key, url.QueryEscape(version), until.UTC().Format(time.RFC3339))}, nil
}

// lock reads until when a version is locked, as the store says with the object itself.
func (o *Objects) lock(ctx context.Context, key, version string) (time.Time, error) {
	stat, err := o.client.StatObject(ctx, o.cfg.Bucket, key, minio.StatObjectOptions{VersionID: version})
	if err != nil {
		return time.Time{}, fmt.Errorf("read the lock of %s: %w", key, err)
	}
	until, err := time.Parse(time.RFC3339, stat.Metadata.Get("X-Amz-Object-Lock-Retain-Until-Date"))
	if err != nil || stat.Metadata.Get("X-Amz-Object-Lock-Mode") != string(minio.Compliance) || until.Before(o.now()) {
		return until, fault.New(fault.KindInternal, "object_unlocked", "The object is not locked in mode COMPLIANCE: the bucket must have been made with object lock.")
	}
	return until, nil
}

// differs tells what an object of the same size is: the same head with signatures of other
// keys is no other log.
func (o *Objects) differs(key string, kept []byte, head *witness.Head) error {
	text, _, _ := bytes.Cut(kept, []byte("\n\n"))
	own, _, _ := bytes.Cut(head.Message, []byte("\n\n"))
	if bytes.Equal(text, own) {
		return fault.New(fault.KindConflict, "object_signatures", "The object holds the same head with other signatures than those stored here.")
	}
	return witness.ErrOther.Because(fmt.Errorf("%s holds another head", key))
}

// first is the oldest version of an object: a later one, or a marker that it was deleted,
// takes nothing away from that it was there.
func (o *Objects) first(ctx context.Context, key string) (version string, err error) {
	for object := range o.client.ListObjects(ctx, o.cfg.Bucket, minio.ListObjectsOptions{Prefix: key, WithVersions: true, MaxKeys: 1000}) {
		if object.Err != nil {
			return "", fmt.Errorf("list %s: %w", key, object.Err)
		}
		if object.Key == key && !object.IsDeleteMarker {
			version = object.VersionID // newest first: the last is the oldest
		}
	}
	return version, nil
}

func (o *Objects) read(ctx context.Context, key, version string) ([]byte, error) {
	object, err := o.client.GetObject(ctx, o.cfg.Bucket, key, minio.GetObjectOptions{VersionID: version})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	defer object.Close()
	kept, err := io.ReadAll(io.LimitReader(object, witness.MaxReceipt))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", key, err)
	}
	return kept, nil
}

// Held lists what the store keeps of a log; nothing that is known here is asked.
func (o *Objects) Held(ctx context.Context, tenant id.Tenant) (witness.Held, error) {
	held := witness.Held{Read: func(ctx context.Context, size int64) ([]byte, error) {
		ctx, cancel := context.WithTimeout(ctx, within)
		defer cancel()
		key := o.key(tenant, size)
		version, err := o.first(ctx, key)
		if err != nil {
			return nil, err
		}
		return o.read(ctx, key, version)
	}}
	directory := o.directory(tenant)
	listing, stop := context.WithTimeout(ctx, 15*time.Minute)
	defer stop()
	for object := range o.client.ListObjects(listing, o.cfg.Bucket, minio.ListObjectsOptions{Prefix: directory, WithVersions: true, MaxKeys: 1000}) {
		if object.Err != nil {
			return held, fmt.Errorf("list %s: %w", directory, object.Err)
		}
		name := strings.TrimSuffix(strings.TrimPrefix(object.Key, directory), objectEnd)
		size, err := strconv.ParseInt(name, 10, 64)
		if err != nil || size <= 0 || object.IsDeleteMarker || o.key(tenant, size) != object.Key {
			continue // nothing that See wrote
		}
		held.Sizes = append(held.Sizes, size)
		if len(held.Sizes) > maxObjects {
			return held, fault.New(fault.KindLimited, "objects_many", "The object store holds more heads of this log than can be listed.")
		}
	}
	slices.Sort(held.Sizes)
	held.Sizes = slices.Compact(held.Sizes)
	return held, nil
}
