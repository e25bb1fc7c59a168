"""Hostile responses: a verifier has to judge each one in bounded time, run nothing in it, and raise nothing.

Some cannot be computed (towers, factorials, sums), some cannot be parsed in linear time or within the stack, some are
no text, some are code. None contains a 7 in any script and none is worth 7, so none is correct for the gold answer "7".
Code in a response that is run leaves the file `CANARY`.
"""

import random
import re
import unicodedata
from collections.abc import Callable

CANARY = "/tmp/rarecot-hostile-canary"

FRAMES = [
    "@",
    "@",
    r"So we get $\boxed{@}$.",
    r"So we get $\boxed{@}$.",
    r"So we get $\boxed{@",
    r"So we get \fbox{@} eggs.",
    r"\boxed @",
    "She has so many.\n#### @",
    "She has so many.\n#### @",
    "She has so many.\n#### 12\n@",
    "The answer is @.",
    "Answer: @",
    "**@**",
]

TEXTS = re.split(
    r"\n| {3}",
    r"""
9**9**9   9**9**9**9   9^{9^{9^9}}   -9^{9^{9^9}}   \frac{1}{9^{9^{9^9}}}   (10^6)!   (10^{12})!   (((9!)!)!)!
((9!)!)!!   10^{10^{10^{10}}}   (-1)^{9^{9^9}} + 1   \sqrt[9^{9^9}]{2}   \log_{2}(9^{9^{9^9}})   1e999999999
-1e999999999   1e-999999999   1E+99999999999999999999   1_000_000_000   NaN   nan   -nan   inf   -inf   Infinity   zoo
oo   -oo   oo - oo   oo/oo   0/0   1/0   0^0   0**-1   None   E   I   pi   S   N   O   Q   Symbol   Symbol('x')
Integer   Float('nan')   solve(x)   nsolve(x**9 - x, x, 2)   integrate(exp(-x**9), (x, 0, oo))   factorial(10**9)
primepi(10**15)   prime(10**9)   factorint(10**99 + 1)   Sum(1/n**2, (n, 1, 10**9)).doit()   Product(n, (n, 1, 10**9))
S.Reals   EmptySet   lambda: x   x.__class__   beta   gamma   zeta   Lambda   symbols('x:1000000')
expand((x + y + z)**9999)   isprime(2**99999 - 1)   9 .__pow__(9**9)   {0}   {}   {0.__class__.__init__.__globals__}
%s   %n%n%n%n   %(a)s   %99999999d   {:>999999999}   $HOME   {@}   \1\2\3   \g<0>   (?P<a>.*)+$   (a+)+$
(.*)*(.*)*(.*)*x   \x00   \N{DIGIT ONE}   \u202e   \0   \   "   '   '''   __import__('os').system('touch CANARY')
eval("__import__('os').system('touch CANARY')")   `touch CANARY`   $(touch CANARY)   ; touch CANARY #   | touch CANARY
&& touch CANARY   open('CANARY', 'w')   exec('open("CANARY", "w")')   S('__import__("os").system("touch CANARY")')
\write18{touch CANARY}   \immediate\write18{touch CANARY}   !touch CANARY   <script>fetch('file://CANARY')</script>
exit()   quit()   raise SystemExit   raise KeyboardInterrupt   sys.exit(0)   os._exit(0)   os.abort()   input()
breakpoint()   assert 0   while True: pass   __import__('time').sleep(99999)   [0]*10**10   'a'*10**10
bytearray(10**11)   open('/dev/zero').read()   ().__class__.__bases__[0].__subclasses__()   globals()   import os
'; DROP TABLE cases; --   ../../etc/passwd   {% x %}   \input{/etc/passwd}   \def\x{\x}\x   \loop\iftrue\repeat
\csname   \end{document}   \catcode`\{=12   \verb|   %   \begin{pmatrix}   \end{pmatrix}   \begin{   \left(   \right)
\left.   \frac   \frac{   \frac{}{}   \frac{1}{0}   \sqrt   \sqrt[   \sqrt{}   \sqrt[0]{2}   \log_1 2   \log 0
\text{   \text   \boxed   \boxed{}   \fbox   ####   \sum_{i=1}^{10^{12}} i   \sum_{i=1}^{\infty} i
\prod_{i=1}^{10^{12}} i   \int_0^{10^9} x^{999} e^{x} dx   \int   \sum   \int_0^\infty \sin(x^{99}) dx
\lim_{n\to\infty} (1+\frac1n)^n   \lim_{x\to 0} \frac{1}{x}   \iiint_{\mathbb{R}^3}   \infty
\binom{10^{12}}{5 \cdot 10^{11}}   \lfloor 10^{10^{10}} / 3 \rfloor   \gcd(2^{10^9}, 6^{10^9})   \{x : x^x = x\}
\mathbb{N}   -   +   *   /   =   ^   _   (   )   [   ]   {   }   |   &   ~   <   >   !   $   #   @   ,   .   ;   :
...   e   i   x   -x   x_   x^   1.   1..2   1,,2   ,1   1,   --1   +-1   1e   e1   1e+   1:2:3   ½   ²   √   ∞   π
∅
""".strip().replace("CANARY", CANARY),
)

PIECES = r"\frac{ \sqrt{ \left( \right) } { ^ _ \text{ \cdot + - = x & \\ \begin{pmatrix} \pm \cup \infty , $"
ATOMS = "oo zoo nan I E pi x Symbol solve(x) exp(x) sin Eq(x,y) True Matrix beta(x)"


def digits(rng: random.Random, n: int) -> str:
    """A number of at least two digits, without a 7."""
    return rng.choice("1234568") + "".join(rng.choices("01234589", k=max(1, n - 1)))


def small(rng: random.Random) -> str:
    """A number that ends in 3, so neither a square nor a power of two."""
    return digits(rng, rng.randint(1, 3)) + "3"


def nested(opening: str, closing: str = "") -> Callable[[random.Random, int], str]:
    return lambda rng, n: opening * n + small(rng) + closing * n


def joined(separator: str) -> Callable[[random.Random, int], str]:
    return lambda rng, n: separator.join(small(rng) for _ in range(n + 1))


def commas(rng: random.Random, n: int) -> str:
    return digits(rng, 2) + "".join("," + digits(rng, 3) for _ in range(n))


def matrix(rng: random.Random, n: int) -> str:
    rows = r"\\".join("&".join(small(rng) for _ in range(n)) for _ in range(n))
    whole = rf"\begin{{pmatrix}}{rows}\end{{pmatrix}}"
    return whole + rng.choice(["", "^{-1}", "^{999999}", whole[:-1]])


def latex(rng: random.Random, n: int) -> str:
    return "".join(piece + rng.choice(["", " "]) for piece in rng.choices([*PIECES.split(), small(rng)], k=n))


def innocent(char: str) -> bool:
    """Neither half a surrogate pair, nor a seven in any script."""
    category, value = unicodedata.category(char), unicodedata.numeric(char, None)
    return category != "Cs" and value != 7 and "7" not in unicodedata.normalize("NFKC", char)


def unicode(rng: random.Random, n: int) -> str:
    top = rng.choice([0xFF, 0x2FFF, 0xFFFF, 0x10FFFF])
    return "".join(filter(innocent, (chr(rng.randint(0, top)) for _ in range(n + 4))))


def controls(rng: random.Random, n: int) -> str:
    return "".join(rng.choices([*map(chr, range(32)), "\x7f", "\x85", "\u2028", "\u2029"], k=n)) + small(rng)


def invisible(rng: random.Random, n: int) -> str:
    marks = "\u200b\u200c\u200d\u200e\u200f\u202a\u202d\u202e\u2060\u2066\u2069\ufeff\u00ad\u00a0\u3000\ufe0f\U000e0031"
    return "".join(rng.choice(marks) + rng.choice("01234589,.") for _ in range(n)) + small(rng)


def combining(rng: random.Random, n: int) -> str:
    return small(rng) + "".join(chr(rng.randint(0x300, 0x36F)) for _ in range(n))


def emoji(rng: random.Random, n: int) -> str:
    faces = (chr(rng.randint(0x1F600, 0x1F64F)) + rng.choice(["", "\u200d", "\U0001f3fd"]) for _ in range(n))
    return "".join(faces) + small(rng)


def homoglyphs(rng: random.Random, n: int) -> str:
    zeros = [0x660, 0x6F0, 0x966, 0x9E6, 0xE50, 0xFF10, 0x1D7CE, 0x1D7D8, 0x1D7F6, 0x2080]
    zero = rng.choice(zeros)
    return "".join(chr(zero + int(digit)) for digit in digits(rng, n + 1))


def words(rng: random.Random, n: int) -> str:
    mark = rng.choice([" + ", " * ", "**", "/", " ", ", ", " = ", " < "])
    return mark.join(rng.choices(ATOMS.split(), k=min(n, 4) + 1)) + " - x" * n


def chain(rng: random.Random, n: int) -> str:
    relations = ["=", "<", ">", r"\le ", r"\ne ", r"\equiv ", r"\approx ", r"\in ", r"\Rightarrow ", ":"]
    return "x" + "".join(rng.choice(relations) + small(rng) for _ in range(n))


def ranges(rng: random.Random, n: int) -> str:
    dash = rng.choice(["-", "–", " to ", "..", r"\ldots ", "~"])
    return ", ".join(f"{digits(rng, 2)}{dash}{digits(rng, 5)}" for _ in range(n))


def remainder(rng: random.Random, n: int) -> str:
    """Even, as the tower and the modulus are."""
    modulo = rng.choice([r"\bmod", r"\pmod", "%", "mod"])
    return "6^{" * n + "9" + "}" * n + f" {modulo} {digits(rng, 9)}{rng.choice('2468')}"


def calculus(rng: random.Random, n: int) -> str:
    head = rng.choice(
        [
            r"\sum_{i=1}^{10^{@}} i^{@}",
            r"\prod_{i=1}^{10^{@}} (i + @)",
            r"\int_0^{@^{@}} x^{@} e^{x^{@}} dx",
            r"\lim_{x \to @} \frac{e^{x^{@}}}{x}",
            r"\sum_{i=1}^{10^{@}} \sum_{j=1}^{10^{@}} ij",
            r"(x + y + z)^{@@@}",
            r"\frac{d^{@}}{dx^{@}} e^{x^{@}}",
            r"\binom{10^{@}}{10^{12}}",
            r"\zeta(-@.5)",
        ]
    )
    while "@" in head:
        head = head.replace("@", digits(rng, min(n, 99)), 1)
    return head


def boxes(rng: random.Random, n: int) -> str:
    if rng.random() < 0.3:
        return small(rng) + r"\boxed{}" * n
    return "".join(rf"\boxed{{{small(rng)}}}" for _ in range(n))


def hashes(rng: random.Random, n: int) -> str:
    end = rng.choice(["\n", " ", ""])
    return "".join(f"####{rng.choice(['', ' ', small(rng)])}{end}" for _ in range(n)) + small(rng)


def runs(rng: random.Random, n: int) -> str:
    mark = rng.choice(
        [" ", "#", "\\", "\n", "\t", "$", "*", "{", "}", ",", "\\\\ ", " #", "# ", "**", "\\{", "\\,", "%", "&", "'"]
    )
    return mark * n + small(rng) + mark * rng.choice([0, 1, n // 4])


# How large a payload gets, and how it is made
PAYLOADS: list[tuple[int, Callable[[random.Random, int], str]]] = [
    *[(1, lambda rng, n: rng.choice(TEXTS))] * 8,
    (1, lambda rng, n: rng.choice(TEXTS) + rng.choice([" = ", ", ", " + x", r" \text{ or } ", "\n"]) + small(rng)),
    *[(depth, nested("(", ")")) for depth in (5000, 50)],
    *[
        (5000, nested(opening, closing))
        for opening, closing in (("{", "}"), ("[", "]"), ("|", "|"), (r"\{", r"\}"), ("(", ""))
    ],
    *[
        (5000, nested(opening, closing))
        for opening, closing in ((r"\left(", r"\right)"), ("", ")"), ("", "}"), ("{", ""))
    ],
    *[
        (5000, nested(opening, "}"))
        for opening in (r"\frac{1}{1+", r"\sqrt{2+", "2^{", "x_{", r"\text{", r"\boxed{", r"\frac{", "-{")
    ],
    *[
        (5000, nested(opening, ")"))
        for opening in (r"\sin(", r"\log(", "sqrt(", "-(", "2**(", "factorial(", "f(", r"1/\left(")
    ],
    *[
        (5000, nested(opening))
        for opening in ("-", "+", "~", "not ", r"\sqrt", "x^", "2^", "2**", "1/", r"\pm", "lambda: ")
    ],
    (5000, nested(r"\frac", "x")),
    *[
        (20_000, nested("", closing))
        for closing in ("!", r"\%", "%", "^2", "'", r"^\circ", r"\!", ".", r" \text{ cm}", r"\cdot x")
    ],
    *[
        (20_000, nested(opening))
        for opening in (r"\boxed{", r"\boxed", r"\boxed{\text{", r"\fbox{", r"\left", r"\begin{pmatrix}", "#### ")
    ],
    *[
        (10_000, joined(mark))
        for mark in (",", "+", "*", "**", "^", "=", "<", " ", " or ", r"\pm ", r"\cup ", "&", r"\\", ".", ";")
    ],
    (100_000, lambda rng, n: "0x" + digits(rng, n)),
    (100_000, digits),
    (100_000, lambda rng, n: f"0.{digits(rng, n)}"),
    (50_000, lambda rng, n: rf"\frac{{{digits(rng, n)}}}{{{digits(rng, n)[:-1]}1}} + 10^{{99}}"),
    (50_000, lambda rng, n: rf"0.\overline{{{digits(rng, n)}}}"),
    (50_000, lambda rng, n: f"{digits(rng, n)}e{digits(rng, n)}"),
    (25_000, commas),
    (120, matrix),
    (25_000, latex),
    (25_000, latex),
    (20_000, unicode),
    (20_000, unicode),
    (50_000, controls),
    (20_000, invisible),
    (20_000, combining),
    (15_000, emoji),
    (25_000, homoglyphs),
    (10_000, words),
    (10_000, chain),
    (8_000, ranges),
    (2_000, remainder),
    (99, calculus),
    (99, calculus),
    (10_000, boxes),
    (10_000, hashes),
    (100_000, runs),
    (100_000, runs),
]


def hostile(n: int = 2000, seed: int = 0) -> list[str]:
    """`n` distinct responses: each kind of payload at its largest first, then in turn at random sizes."""
    rng = random.Random(seed)
    responses: dict[str, None] = {}
    turn = 0
    while len(responses) < n:
        most, payload = PAYLOADS[turn % len(PAYLOADS)]
        size = most if turn < len(PAYLOADS) else int(most ** rng.random())
        responses[rng.choice(FRAMES).replace("@", payload(rng, size))] = None
        turn += 1
    return list(responses)
