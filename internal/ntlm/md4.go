package ntlm

import (
	"encoding/binary"
	"math/bits"
)

// md4Sum is the MD4 digest of RFC 1320. NTLM hashes passwords with it; the
// standard library has none, and it is good for nothing else.
func md4Sum(message []byte) [16]byte {
	state := [4]uint32{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476}
	rest := message
	for ; len(rest) >= 64; rest = rest[64:] {
		md4Block(&state, rest[:64])
	}

	// The padding: a one bit, zeros, the length in bits.
	var tail [128]byte
	n := copy(tail[:], rest)
	tail[n] = 0x80
	end := 64
	if n >= 56 {
		end = 128
	}
	binary.LittleEndian.PutUint64(tail[end-8:], uint64(len(message))*8)
	for p := tail[:end]; len(p) > 0; p = p[64:] {
		md4Block(&state, p[:64])
	}

	var sum [16]byte
	for i, word := range state {
		binary.LittleEndian.PutUint32(sum[4*i:], word)
	}
	return sum
}

// The rounds of RFC 1320 section 3.4: in which order they take the words of a
// block, by how much they rotate, what they add.
var (
	md4Order = [3][16]uint8{
		{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
		{0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15},
		{0, 8, 4, 12, 2, 10, 6, 14, 1, 9, 5, 13, 3, 11, 7, 15},
	}
	md4Shift = [3][4]int{{3, 7, 11, 19}, {3, 5, 9, 13}, {3, 9, 11, 15}}
	md4Add   = [3]uint32{0, 0x5a827999, 0x6ed9eba1}
)

func md4Block(state *[4]uint32, block []byte) {
	var x [16]uint32
	for i := range x {
		x[i] = binary.LittleEndian.Uint32(block[4*i:])
	}
	a, b, c, d := state[0], state[1], state[2], state[3]
	for round := range 3 {
		for i, k := range md4Order[round] {
			var f uint32
			switch round {
			case 0:
				f = b&c | ^b&d
			case 1:
				f = b&c | b&d | c&d
			case 2:
				f = b ^ c ^ d
			}
			a = bits.RotateLeft32(a+f+x[k]+md4Add[round], md4Shift[round][i%4])
			a, b, c, d = d, a, b, c
		}
	}
	state[0] += a
	state[1] += b
	state[2] += c
	state[3] += d
}
