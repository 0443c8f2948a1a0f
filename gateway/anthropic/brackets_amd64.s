#include "textflag.h"

// A block is 64 bytes, a mask has a bit for each of them, the first the lowest.

DATA ·alike<>+0(SB)/8, $0x2020202020202020 // turns [ into { and ] into }
GLOBL ·alike<>(SB), RODATA|NOPTR, $8
DATA ·opens<>+0(SB)/8, $0x7b7b7b7b7b7b7b7b
GLOBL ·opens<>(SB), RODATA|NOPTR, $8
DATA ·closes<>+0(SB)/8, $0x7d7d7d7d7d7d7d7d
GLOBL ·closes<>(SB), RODATA|NOPTR, $8
DATA ·quotes<>+0(SB)/8, $0x2222222222222222
GLOBL ·quotes<>(SB), RODATA|NOPTR, $8
DATA ·slashes<>+0(SB)/8, $0x5c5c5c5c5c5c5c5c
GLOBL ·slashes<>(SB), RODATA|NOPTR, $8

// func classify(first *byte, blocks int, into *marks, at *lexis)
TEXT ·classify(SB), NOSPLIT, $0-32
	MOVQ first+0(FP), SI
	MOVQ blocks+8(FP), CX
	MOVQ into+16(FP), DI
	MOVQ at+24(FP), DX
	MOVQ 0(DX), R12 // 1: the next byte is escaped
	MOVQ 8(DX), R13 // all ones: the next byte is in a string
	MOVQ $0xaaaaaaaaaaaaaaaa, BX
	VPBROADCASTQ ·quotes<>(SB), Y8
	VPBROADCASTQ ·slashes<>(SB), Y9
	VPBROADCASTQ ·alike<>(SB), Y10
	VPBROADCASTQ ·opens<>(SB), Y11
	VPBROADCASTQ ·closes<>(SB), Y12
	VPCMPEQB X13, X13, X13

block:
	VMOVDQU (SI), Y0
	VMOVDQU 32(SI), Y1

	VPCMPEQB Y0, Y8, Y2
	VPCMPEQB Y1, Y8, Y3
	VPMOVMSKB Y2, AX
	VPMOVMSKB Y3, R8
	SHLQ $32, R8
	ORQ AX, R8 // quotes

	VPCMPEQB Y0, Y9, Y2
	VPCMPEQB Y1, Y9, Y3
	VPMOVMSKB Y2, AX
	VPMOVMSKB Y3, R9
	SHLQ $32, R9
	ORQ AX, R9 // backslashes

	VPOR Y0, Y10, Y4
	VPOR Y1, Y10, Y5
	VPCMPEQB Y4, Y11, Y2
	VPCMPEQB Y4, Y12, Y3
	VPOR Y2, Y3, Y2
	VPMOVMSKB Y2, AX
	VPCMPEQB Y5, Y11, Y2
	VPCMPEQB Y5, Y12, Y3
	VPOR Y2, Y3, Y2
	VPMOVMSKB Y2, R10
	SHLQ $32, R10
	ORQ AX, R10 // brackets

	// Of a run of backslashes every second one escapes: the runs that begin at an
	// even place carry through the odd places by the subtraction, and the others do not.
	MOVQ R9, AX
	ORQ R12, AX
	JZ unescaped
	MOVQ AX, R11 // backslashes and what is escaped from before
	NOTQ R12
	ANDQ R9, R12 // backslashes that may escape
	LEAQ (R12)(R12*1), AX
	ORQ BX, AX
	SUBQ R12, AX
	XORQ BX, AX // those that escape, and what they escape
	MOVQ AX, R12
	XORQ R11, AX // what is escaped
	NOTQ AX
	ANDQ AX, R8
	ANDQ R9, R12
	SHRQ $63, R12

unescaped:
	// Whether a byte is in a string is the parity of the quotes up to it.
	VMOVQ R8, X6
	VPCLMULQDQ $0, X13, X6, X6
	VMOVQ X6, AX
	XORQ R13, AX
	MOVQ AX, R13
	SARQ $63, R13
	NOTQ AX
	ANDQ AX, R10
	ANDQ AX, R9
	MOVQ R10, 0(DI)
	MOVQ R9, 8(DI)
	ADDQ $64, SI
	ADDQ $16, DI
	DECQ CX
	JNZ block

	MOVQ R12, 0(DX)
	MOVQ R13, 8(DX)
	VZEROUPPER
	RET
