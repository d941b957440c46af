package krb5

//lint:ignore SA1019 RC4 keys are MD4 hashes, and [MS-SFU] has an unkeyed MD4 checksum; nothing else is
import "golang.org/x/crypto/md4"

// md4Sum is the MD4 digest of RFC 1320.
func md4Sum(data []byte) []byte {
	h := md4.New()
	h.Write(data)
	return h.Sum(nil)
}
