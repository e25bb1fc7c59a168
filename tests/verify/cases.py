r"""Labelled answers for the verifier: (gold, response, style, verdict), written from these rules and not from code.

Where the answer stands. Style `hashes` reads what follows the last `####` on its line, style `boxed` the content of
the last `\boxed{…}`, `\fbox{…}` or `\boxed 7`. A response without its own style's mark is read by the other's. An
empty or unterminated last mark is wrong, even when an earlier one is right. No mark is `no_answer`, whatever the text
says. Prose after the answer does not count. Style `any` then also takes what is stated last as "the answer is X",
"Answer: X" or "**X**".

What is correct. The same mathematical object in another notation: separators, trailing zeros, a unit or currency that
one side leaves out, fractions, decimals, mixed numbers, percentages (50 and 0.5 are `50\%`, but 50 is not 0.5), equal
expressions, a label (`x=5`), tuples and matrices in order, sets and lists in any order, intervals with the same
brackets, text in any case.

What is wrong. Everything else: roundings (0.33 for 1/3), several candidates, an answer contained in the gold or
containing it, a relation for a value, another variable, a swapped tuple, an unreadable answer. What the rules leave
open is not here.
"""

from collections.abc import Iterator
from dataclasses import dataclass

FRAMES = {"boxed": r"So we get $\boxed{@}$.", "hashes": "She has so many.\n#### @"}


@dataclass(frozen=True)
class Group:
    """Whole responses to one gold answer, by their verdict."""

    name: str
    style: str
    gold: str
    right: tuple[str, ...] = ()
    wrong: tuple[str, ...] = ()
    none: tuple[str, ...] = ()

    def cases(self) -> Iterator[tuple[str, str, str, str]]:
        for verdict, responses in (("correct", self.right), ("wrong", self.wrong), ("no_answer", self.none)):
            for response in responses:
                yield self.gold, response, self.style, verdict


def cases() -> list[tuple[str, str, str, str]]:
    return [case for group in GROUPS for case in group.cases()]


def bare(table: str) -> list[Group]:
    """The groups of a table of bare answers, each put into a response of its style.

    `# name style` begins a topic and `= gold` a group; lines of `+` hold correct answers and lines of `-` wrong ones.
    """
    rows: list[tuple[str, str, str, dict[str, list[str]]]] = []
    name = style = ""
    for line in filter(None, table.splitlines()):
        mark, _, rest = line.partition(" ")
        if mark == "#":
            name, style = rest.split()
        elif mark == "=":
            rows.append((name, style, rest, {"+": [], "-": []}))
        else:
            rows[-1][3][mark] += [FRAMES[style].replace("@", answer.strip()) for answer in rest.split(" ; ")]
    return [Group(name, style, gold, tuple(by["+"]), tuple(by["-"])) for name, style, gold, by in rows]


BARE = bare(r"""
# integers hashes
= 18
+ 18 ; +18 ; 18. ; 18.0 ; 18.00 ; $18 ; $18.00 ; \$18 ; $18$ ; 18 dollars ; 18 eggs ; x = 18 ; 1.8e1 ; $ 18 ; 18$
+ 18.000 ; £18 ; €18 ; 18 USD ; 18 km/h ; 18 m/s ; 18 hours ; 18 years old ; 18 square feet ; 18 minutes.
- -18 ; 81 ; 8 ; 1 ; 180 ; 118 ; 18.5 ; 18.00001 ; 17.9999999999 ; 1.8 ; 18/2 ; 18 1/2 ; 18^2 ; 18² ; 1_8 ; 1,8
- 18 or 20 ; 18, 20 ; 18 20 ; 18 and 20 ; 18-20 ; $18 - $20 ; 18 million ; 18k ; 18x ; 18+2 ; not 18 ; > 18 ; x >= 18
- x = 18, y = 20 ; 18 apples and 3 oranges ; dollars ; ? ; nan ; How many eggs are left?
= 1234
+ 1,234 ; $1,234 ; $1,234.00 ; 1{,}234 ; 1\!,234 ; 1\,234 ; 1234.0 ; 1,234 people ; 1.234 \times 10^3 ; 1234 ; 1234.
+ $1234 ; +1,234 ; 1,234. ; 1,234 dollars ; 1.234e3 ; \$1{,}234
- 1.234 ; 1,235 ; 12,34 ; 1,2345 ; 1,234.5 ; 234 ; 1 ; 1,234,000 ; 2,341 ; 1,234 or 1,235
= 70,000
+ 70000 ; 70,000 ; $70,000 ; 7 \times 10^4 ; 7e4
- 70 ; 7000 ; 70.000
= -5
+ -5 ; −5 ; -5.0 ; -$5 ; - 5
- 5 ; +5 ; --5 ; 5- ; -15 ; -0.5 ; -(-5)
= 0
+ 0 ; 0.0 ; $0.00 ; 0 dollars
- 10 ; 0.01 ; O ; False ; N/A ; {}
= 1
+ 1 ; 1.00 ; 1 hour
- True ; 10 ; -1 ; 1/10 ; l
= 2.5
+ 2.50 ; $2.50 ; 2.5 hours ; 5/2 ; 2 1/2 ; 2\frac{1}{2}
- 25 ; 0.25 ; 2.05 ; 2.55 ; 2.5.0 ; 2 ; 5 ; 2 hours 5 minutes ; 2/5
= 3:30
+ 3:30
- 3:03 ; 330 ; 3 ; 30 ; 4:30 ; 3:300 ; 13:30 ; 33:0
= 0.07
+ 0.07 ; .07 ; 0.070 ; $0.07
- 0.7 ; 7 ; 0.007 ; 07
= 1,000,000
+ 1000000 ; 1,000,000 ; $1,000,000.00 ; 10^6 ; 1e6 ; 1{,}000{,}000 ; 1,000,000 people
- 100000 ; 1,000 ; 10,000,000 ; 1 ; 1.000.000 ; 1,000,001

# integers boxed
= 1200000
+ 1,200,000 ; 1.2 \times 10^6 ; 1.2\cdot10^{6} ; 12 \times 10^5 ; 1{,}200{,}000 ; 1\!,200\!,000
- 1.2 \times 10^5 ; 1.2 \times 106 ; 1.2 ; 1.2 \times 10^{-6} ; 120000 ; 1.2 + 10^6
= 12
+ 12 ; 12.0 ; +12 ; \left(12\right) ; 12\! ; \,12\, ; 12. ; n=12
- 120 ; 112 ; 21 ; 1,2 ; 1.2 ; 1 2/3 ; \frac{1}{2} ; \frac{12}{ } ; 1\cdot 2 ; 1^2 ; 12x ; 12\pi ; 12i ; -12 ; \{1,2\}
- 12 \text{ or } 13 ; 12\text{ and }13 ; \frac{1}{12} ; \ge 12 ; x<12 ; x \neq 12 ; \sqrt{12} ; \pm 12 ; 12! ; 12_5
= 100000
+ 100,000 ; 10^5 ; 10^{5}
- 100.000 ; 10^6 ; 10^{-5} ; 105 ; 100,00
= -12
+ -12 ; -12.0 ; x=-12 ; -12^\circ ; \,-12 ; - 12 ; -12.
- 12 ; \pm 12 ; |-12| ; -1,2 ; -120 ; 1-12 ; 12-
= 2024
+ 2024 ; 2{,}024 ; 2024. ; 2\,024 ; +2024 ; 2024.0
- 2025 ; 20 ; 24 ; 20,24 ; 2.024 ; 4202 ; 2024.5 ; 20^{24}

# fractions boxed
= \frac{1}{2}
+ \frac{1}{2} ; \dfrac12 ; \tfrac{1}{2} ; \frac12 ; \frac1{2} ; \frac 1 2 ; 1/2 ; 0.5 ; .5 ; 0.50 ; \frac{2}{4}
+ {1\over2} ; 2^{-1} ; p=\frac12
- 2 ; \frac{2}{1} ; -\frac12 ; 0.05 ; \frac{1}{2}x ; 1\frac12 ; 12 ; (1,2) ; \frac{1}{} ; \frac{1}{2}, \frac{1}{3}
- \frac{1}{20} ; \frac12\pi ; \sqrt{\frac12} ; \frac{1}{2}^2 ; 1
= \frac{1}{3}
+ 1/3 ; 0.\overline{3} ; \frac{3}{9} ; 33\frac{1}{3}\%
- 0.33 ; 0.3 ; 0.3333333333333333 ; 33\% ; 3 ; \frac13 + \frac13 ; \frac{1}{3.0001}
= -\frac{3}{4}
+ \frac{-3}{4} ; \frac{3}{-4} ; -\frac34 ; -0.75 ; -3/4
- \frac34 ; \frac{-3}{-4} ; -\frac43 ; 0.75 ; -\frac{3}{40} ; 1-\frac{3}{4}
= 3\frac{1}{2}
+ 3.5 ; \frac72 ; 7/2
- \frac32 ; 3 \cdot \frac12 ; 31/2 ; 3
= \frac{3}{2}
+ 1\frac{1}{2} ; 1.5
- 3\frac{1}{2} ; 1 \cdot \frac12 ; \frac23
= \frac{17}{12}
+ 17/12 ; 1\frac{5}{12}
- \frac{17}{1}2 ; \frac1712 ; 1.4167 ; 1712 ; \frac{5}{12} ; \frac{12}{17}
= \frac{22}{7}
+ 3\frac{1}{7}
- \pi ; 3.14 ; 3.142857142857
= \frac{a}{b}
+ a/b
- \frac{b}{a} ; \frac{A}{b} ; ab ; \frac{a}{c}
= 0.75
+ \frac34 ; \frac{3}{4} ; 3/4 ; .75 ; 0.750 ; 75\%
- 0.7 ; 75 ; \frac43 ; 0.075 ; 7.5
= \frac{7}{3}
+ 2\frac{1}{3} ; 7/3 ; 2 \frac13 ; 2\,\frac{1}{3} ; \dfrac73 ; \frac73 ; \frac{14}{6} ; 7 / 3
- 2.33 ; \frac37 ; 2\cdot\frac13 ; 73
= \frac{1}{64}
+ 2^{-6} ; 0.015625 ; 4^{-3} ; 1/64
- \frac{1}{16} ; -64 ; 0.0156 ; 64 ; \frac{1}{6}4

# surds boxed
= 2\sqrt{3}
+ \sqrt{12} ; 2\sqrt3 ; 2 \cdot \sqrt{3} ; \frac{6}{\sqrt{3}} ; 2\cdot 3^{1/2} ; \sqrt{3}\cdot 2 ; 2√3
- \sqrt{6} ; \sqrt[2]{3} ; 3\sqrt{2} ; 3.46 ; 3.4641016151377544 ; 2\sqrt[3]{3} ; 2+\sqrt{3} ; \sqrt{23} ; 23 ; -2\sqrt3
- \pm 2\sqrt{3} ; 2^{\sqrt{3}} ; 12 ; \sqrt{12}, 4
= \sqrt{2}
+ \sqrt2 ; 2^{1/2} ; \frac{2}{\sqrt{2}}
- 1.414 ; 1.4142135623730951 ; 2
= \sqrt[3]{16}
+ 2\sqrt[3]{2}
- \sqrt{16} ; \sqrt[16]{3} ; 3\sqrt{16} ; 2\sqrt{2}
= 2
- \sqrt{8} ; \log_4 2 ; 8^1/3 ; \sqrt{2} ; \frac{2}{2} ; -2 ; 2^2^2
= \frac{\sqrt{2}}{2}
+ \frac{1}{\sqrt2} ; \frac{\sqrt 2}2 ; \sqrt{\frac{1}{2}} ; 2^{-1/2} ; \sqrt{2}/2
- 0.707 ; \frac{\sqrt{2}}{4} ; \frac{2}{\sqrt{2}} ; \sqrt{\frac22} ; -\frac{\sqrt{2}}{2} ; \frac{\sqrt{3}}{2}
= 1+\sqrt{2}
+ \sqrt{2}+1 ; \frac{1}{\sqrt{2}-1}
- 1-\sqrt{2} ; \sqrt{1+2} ; 2.414 ; \sqrt{2} ; 1\sqrt{2} ; 1+\sqrt{2}, 1-\sqrt{2}
= \sqrt{2+\sqrt{3}}
+ \frac{\sqrt{6}+\sqrt{2}}{2}
- \frac{\sqrt{6}-\sqrt{2}}{2} ; \sqrt{2}+\sqrt{3} ; \sqrt{2+3}
= \log_2 3
+ \log_{2}{3} ; \log_2(3) ; \frac{\ln 3}{\ln 2}
- \log_3 2 ; 1.585 ; \log_2 9 ; \log_{10} 3 ; \frac{\ln 2}{\ln 3}
= \ln 2
+ \ln(2) ; \ln{2} ; \log_e 2
- 0.693 ; \log_{10} 2 ; \ln 3 ; 2
= \pi
+ \pi ; {\pi}
- 3.14 ; 3.141592653589793 ; 2\pi ; \frac{22}{7} ; p ; \pi^2
= \frac{3\pi}{4}
+ \frac{3}{4}\pi ; 0.75\pi ; 3\pi/4
- \frac{3}{4\pi} ; 2.356 ; \frac{4\pi}{3} ; \frac34 ; 135 ; -\frac{3\pi}{4}
= 36\pi
+ 36 \pi ; 36\pi\text{ cm}^2
- 36 ; 113.1 ; 36\pi^2 ; 6\pi ; 36p
= \cos^2 x
+ \cos^2(x) ; (\cos x)^2 ; 1-\sin^2 x
- \cos x^2 ; \cos 2x ; \sin^2 x
= e^2
+ e^{2}
- 2e ; 7.389 ; e^{-2} ; e^{2x}
= 2^{10}
+ 1024
- 20 ; 10^2 ; 210 ; 2^{11} ; 2_{10}
= \binom{5}{2}
+ 10
- \frac52 ; 2.5 ; \binom{2}{5} ; 52
= |x-1|
+ |1-x| ; |x - 1|
- x-1 ; |x+1| ; 1-x ; |x|-1
= 3\sqrt{5}
+ \sqrt{45} ; 3 \sqrt 5 ; 3\cdot\sqrt5 ; \frac{15}{\sqrt{5}} ; 3\sqrt{5}\text{ cm} ; \left(3\sqrt{5}\right)
+ 3\,\sqrt{5}
- \sqrt{15} ; 5\sqrt3 ; 6.708
= \frac{1+\sqrt{5}}{2}
+ \frac12+\frac{\sqrt5}{2} ; (1+\sqrt{5})/2 ; \frac{\sqrt{5}+1}{2} ; \frac{2}{\sqrt{5}-1} ; 0.5+0.5\sqrt{5}
- \frac{1-\sqrt5}{2} ; 1.618 ; 1+\frac{\sqrt{5}}{2} ; \frac{1\pm\sqrt{5}}{2}
= 12-6\sqrt{3}
+ 6(2-\sqrt3) ; -6\sqrt{3}+12 ; 12-\sqrt{108}
- 12+6\sqrt3 ; 6\sqrt{3} ; 1.608
= \frac{\pi}{6}
+ \pi/6 ; \frac16\pi ; \frac{1}{6} \pi ; \tfrac{\pi}{6} ; \theta=\frac{\pi}{6}
- \frac{6}{\pi} ; 30 ; 0.5236 ; \frac{\pi}{3}
= 8\pi
+ 8 \cdot \pi ; 8\pi\text{ square units} ; 8{\pi} ; \pi\cdot 8
- 8 ; 25.13 ; 8+\pi
= \frac{\sqrt{3}}{3}
+ \frac{1}{\sqrt{3}} ; \sqrt{\frac13} ; \frac13\sqrt3 ; 3^{-1/2}
- \sqrt3 ; 0.577 ; \frac{\sqrt3}{9}

# polynomials boxed
= x^2+2x+1
+ x^2 + 2 x + 1 ; (x+1)^2 ; 1+2x+x^2 ; x^{2}+2x+1 ; (x+1)(x+1) ; \left(1+x\right)^{2} ; x(x+2)+1
- x^2+2x-1 ; y^2+2y+1 ; X^2+2X+1 ; x^2+2x ; x^2+2x+1=0 ; x2+2x+1 ; (x-1)^2 ; x+1 ; x=-1 ; x^2+2x+1, x+1 ; x^{2+2x+1}
= x-y
+ -y+x ; -(y-x)
- y-x ; x+y ; X-Y ; x-z ; xy ; x ; 0
= 3x
+ 3 \cdot x ; 3 x ; x \cdot 3
- 3X ; 3y ; x^3 ; 3+x ; 3 ; 3x=0 ; x=3
= 2ab
+ 2ba ; 2 a b ; ab+ab
- ab ; 2a+b ; 2AB ; 2a^b ; 2ac
= (x+3)(x-2)
+ (x-2)(x+3) ; x^2+x-6
- (x-3)(x+2) ; x^2-x-6 ; (x+3,x-2) ; x=2,-3 ; (x+3)-(x-2) ; (x+3)x-2
= \frac{x+1}{x-1}
+ (x+1)/(x-1) ; \dfrac{1+x}{x-1} ; 1+\frac{2}{x-1}
- x+1/x-1 ; \frac{x-1}{x+1} ; \frac{x+1}{1-x} ; -1
= 2x^3-5
+ 2x^{3}-5 ; -5+2x^3
- 2x^3+5 ; (2x)^3-5 ; 2x^{3-5} ; 2x^2-5
= -3x^2+6x
+ 6x-3x^2 ; -3x(x-2) ; 3x(2-x) ; -3x^{2} + 6x
- 3x^2-6x ; -3x^2-6x ; 3x
= n^2-n
+ n(n-1) ; n^{2}-n ; (n-1)n
- n ; m^2-m ; n^2-1 ; N^2-N
= \frac{x}{2}+1
+ \frac{x+2}{2} ; 0.5x+1 ; \frac12x+1 ; 1+\frac{x}{2}
- \frac{x+1}{2} ; \frac{x}{3} ; 2x+1
= x^3-8
+ (x-2)(x^2+2x+4) ; -8+x^3 ; x^{3} - 8
- (x-2)^3 ; x^3+8 ; x^{38}

# equations boxed
= y=2x+3
+ y = 2x + 3 ; y=3+2x
- y=3x+2 ; y=-2x+3 ; y=2x-3 ; x=2y+3 ; y<2x+3 ; y \ge 2x+3 ; y=2x ; y=2x+3z
= 3x+4y=12
+ 3x + 4y = 12 ; 4y+3x=12
- 4x+3y=12 ; 3x+4y=-12 ; 3x+4y ; 12 ; 3x-4y=12 ; 3x+4y<12 ; 3X+4Y=12 ; 3x+4y=120
= x=5
+ 5 ; x = 5 ; x=5.0 ; {x=5}
- y=5 ; x=-5 ; x \ne 5 ; x>5 ; x=5, x=6 ; x=5 \text{ or } x=6 ; x=15 ; x ; 5x ; x^5 ; x=
= 5
+ x=5 ; n = 5
- x=5,y=6 ; 5=6 ; x^2=5 ; 2x=5 ; x+5 ; x \le 5 ; |x|=5 ; x=5+y ; x_5
= x<5
+ x < 5 ; x\lt 5 ; 5>x
- x>5 ; x \le 5 ; 5 ; x=5 ; x<-5 ; 5<x ; y<5 ; x \ge 5 ; x<5, x<6
= -2<x\le 3
+ -2 < x \leq 3
- -2\le x<3 ; -2<x<3 ; x\le 3 ; [-2,3) ; -2<x ; -2<y\le 3 ; 2<x\le 3 ; -2>x\ge 3
= x=-\frac{1}{2}
+ -\frac12 ; -0.5 ; x = -1/2
- \frac12 ; x=-2 ; x=\frac{1}{2}
= y=-\frac{1}{3}x+2
+ y = -\frac13 x + 2 ; y=2-\frac{1}{3}x ; y=-\frac{x}{3}+2
- y=\frac13x+2 ; y=-3x+2 ; y=-0.33x+2

# complex boxed
= 3+4i
+ 4i+3 ; 3 + 4 i ; 3+4\cdot i ; z=3+4i
- 3-4i ; 4+3i ; 5 ; 7i ; 7 ; -3+4i ; 3+4 ; 3+4i, 3-4i ; 3+4x
= -2i
+ 0-2i ; -2 i
- 2i ; -2 ; -i ; -2i^2 ; 2-i
= \frac{1+i}{2}
+ \frac12+\frac12i ; 0.5+0.5i
- \frac12+i ; \frac{1-i}{2}

# tuples boxed
= (3,4)
+ (3, 4) ; \left(3,4\right) ; (3.0,4) ; \left( 3, \, 4 \right) ; (x,y)=(3,4) ; (+3,4)
- (4,3) ; (3,4,0) ; (3) ; (-3,4) ; [3,4] ; (3,4] ; \{3,4\} ; 34 ; 3+4i ; (3,4),(4,3) ; \frac34 ; 5 ; (3,40)
= \left(\frac{1}{2}, -\sqrt{3}\right)
+ (0.5,-\sqrt{3}) ; (1/2, -\sqrt3) ; \left(\dfrac12,-\sqrt{3}\right)
- (1/2, \sqrt3) ; (0.5, -1.732) ; (-\sqrt3, 1/2) ; (\frac12, -\sqrt[3]{3}) ; -\frac{\sqrt{3}}{2}
= (1,2,3)
+ (1, 2, 3)
- (1,3,2) ; (3,2,1) ; (1,2) ; (1,2,3,4) ; 123 ; (12,3) ; 6
= (1,234)
+ (1, 234)
- 1234 ; (1234) ; (1,2,34) ; (234,1) ; (1,235)
= (2,\frac{\pi}{6})
+ (2,\pi/6)
- (2,30) ; (2,0.5236) ; (2,\frac{\pi}{3}) ; (2,6)
= (1,2),(3,4)
+ (3,4),(1,2) ; (1,2) \text{ and } (3,4)
- (2,1),(3,4) ; (1,2) ; (1,2,3,4) ; (1,3),(2,4) ; (1,2),(3,4),(5,6) ; 1,2,3,4
= (-1,0,\frac{5}{2})
+ (-1,0,2.5) ; (-1, 0, 5/2) ; \left(-1,0,\frac{5}{2}\right) ; (-1,0,2\frac12)
- (-1,2.5,0) ; (1,0,\frac52) ; (-1,0) ; (-1,0,\frac25)
= (6,31,-1)
+ (6, 31, -1) ; (6.0,31,-1) ; (6,\,31,\,-1) ; \left(6, 31, -1\right)
- (6,31,1) ; 631 ; (6,3,1,-1) ; (31,6,-1)

# matrices boxed
= \begin{pmatrix}1\\2\end{pmatrix}
+ \begin{bmatrix} 1 \\ 2 \end{bmatrix} ; \begin{pmatrix} 1.0 \\ 2 \end{pmatrix}
- \begin{pmatrix}2\\1\end{pmatrix} ; \begin{pmatrix}1&2\end{pmatrix} ; \begin{pmatrix}1\\2\\0\end{pmatrix} ; \frac12
- 12
= \begin{pmatrix} 1 & 2 \\ 3 & \frac{1}{2} \end{pmatrix}
+ \begin{bmatrix}1&2\\3&\dfrac12\end{bmatrix} ; \begin{pmatrix}1&2\\3&0.5\end{pmatrix}
- \begin{pmatrix}1&3\\2&\frac12\end{pmatrix} ; \begin{pmatrix}3&\frac12\\1&2\end{pmatrix}
- \begin{pmatrix}1&-2\\3&\frac12\end{pmatrix} ; \begin{vmatrix}1&2\\3&\frac12\end{vmatrix} ; -\frac{11}{2}
- \begin{pmatrix}1&2\\3&2\end{pmatrix} ; \begin{pmatrix}1&2&3&\frac12\end{pmatrix} ; \begin{pmatrix}1&2\\3&\frac12
= \begin{pmatrix}-1/3\\2/3\\5/3\end{pmatrix}
+ \begin{pmatrix}-\frac13\\\frac23\\\frac53\end{pmatrix} ; \begin{bmatrix}-1/3\\2/3\\5/3\end{bmatrix}
- \begin{pmatrix}-0.33\\0.67\\1.67\end{pmatrix} ; \begin{pmatrix}\frac13\\\frac23\\\frac53\end{pmatrix}
= \begin{pmatrix}0&1\\-1&0\end{pmatrix}
+ \begin{bmatrix} 0 & 1 \\ -1 & 0 \end{bmatrix} ; \begin{pmatrix} 0 & 1 \\ -1 & 0 \end{pmatrix}
- \begin{pmatrix}0&-1\\1&0\end{pmatrix} ; 1 ; \begin{pmatrix}0&1\\-1&0 ; \begin{pmatrix}0&1\\-1\end{pmatrix}

# intervals boxed
= [0,1)
+ [0, 1) ; \left[0,1\right) ; [0,1.0) ; x\in[0,1)
- (0,1) ; [0,1] ; (0,1] ; [0,1 ; [1,0) ; [0,2) ; \{0,1\} ; [0,\infty) ; [-1,0) ; 0
= (-\infty, 5]
+ (-\infty,5] ; \left(-\infty,5\right] ; (-\infty, 5.0]
- (-\infty,5) ; (\infty,5] ; [5,\infty) ; (-\infty,-5] ; 5 ; (-\infty,\infty)
= [2,\infty)
+ [2,+\infty) ; [2, \infty) ; \left[2,\infty\right)
- (2,\infty) ; (2,+\infty) ; [2,-\infty) ; [-2,\infty) ; 2 ; \infty ; [2,3)
= (-\infty,-1)\cup(1,\infty)
+ (1,\infty)\cup(-\infty,-1) ; (-\infty, -1) \cup (1, +\infty) ; \left(-\infty,-1\right)\cup\left(1,\infty\right)
- (-\infty,-1]\cup[1,\infty) ; (-1,1) ; (-\infty,-1)\cap(1,\infty) ; (-\infty,1)\cup(1,\infty) ; (-\infty,-1)
- (-\infty,\infty) ; (-\infty,-1)\cup(1,\infty)\cup\{0\}
= [0,1]\cup[2,3]
+ [2,3]\cup[0,1]
- [0,3] ; [0,1] ; [0,1]\cup(2,3] ; [0,2]\cup[1,3]
= (2,5]
+ (2, 5] ; \left(2,5\right] ; (2.0,5] ; x \in (2,5]
- [2,5) ; (2,5) ; [2,5] ; (2,5 ; (5,2]
= [-\sqrt{3},\sqrt{3}]
+ [-\sqrt3, \sqrt3] ; \left[-\sqrt{3},\sqrt{3}\right] ; [-3^{1/2},3^{1/2}]
- [-1.732,1.732] ; (-\sqrt3,\sqrt3) ; [-3,3] ; \pm\sqrt{3}
= \left(-\frac{1}{2},\infty\right)
+ (-0.5,\infty) ; (-1/2,+\infty) ; \left(-\tfrac12, \infty\right)
- (\frac12,\infty) ; [-\frac12,\infty) ; (-\infty,-\frac12)
= (-\infty,-2)\cup(-2,2)\cup(2,\infty)
+ (-\infty,-2) \cup (-2,2) \cup (2,+\infty) ; (2,\infty)\cup(-\infty,-2)\cup(-2,2)
- (-\infty,-2)\cup(2,\infty) ; (-\infty,\infty) ; (-2,2)

# sets boxed
= \{1,2,3\}
+ \{3,2,1\} ; \{1, 2, 3\} ; \left\{1,2,3\right\} ; \{1,\frac{4}{2},3\}
- (1,2,3) ; \{1,2\} ; \{1,2,3,4\} ; \{1,2,4\} ; \{12,3\} ; 6 ; \{-1,2,3\} ; [1,3] ; 123 ; \{\{1,2,3\}\}
= \emptyset
+ \varnothing ; \{\}
- 0 ; \{0\} ; \{\emptyset\}
= \{-4,0,4\}
+ \{0,4,-4\} ; \{-4, 0, 4\} ; \left\{4,0,-4\right\}
- \{0,4\} ; (-4,0,4) ; \{-4,4\} ; \{-404\}

# lists boxed
= 2,-3
+ -3,2 ; -3, 2 ; x=2,-3 ; x=2 \text{ or } x=-3 ; 2\text{ and }-3 ; 2.0, -3
- 2,3 ; 2 ; -3 ; 2,-3,0 ; -2,3 ; -1 ; 23 ; 2-3 ; 2,-30
= 3,5,7
+ 7,5,3 ; 3, 5, 7 ; 5,3,7
- 357 ; 3,5 ; 3,5,7,9 ; 3,57 ; 15 ; 3,5,-7 ; 3.5,7
= 1,2
+ 2,1 ; 1, 2
- 12 ; 1.2 ; 1 ; 2 ; 1,22 ; 1,2,3 ; \frac12 ; 1+2
= 10, 100
+ 100, 10
- 10100 ; 10 ; 110 ; 10, 1000
= \pm 3
+ \pm3 ; 3,-3 ; -3, 3 ; x=\pm3 ; 3\text{ and }-3
- 3 ; -3 ; \pm 4 ; 3,3 ; |3| ; 9 ; \pm 3, 0 ; \pm\sqrt{3}
= -2,2
+ \pm 2 ; 2,-2
- 2 ; -2 ; 0 ; \pm 4 ; -22
= 1\pm\sqrt{2}
+ 1+\sqrt2, 1-\sqrt2 ; 1-\sqrt{2},1+\sqrt{2} ; x=1\pm\sqrt{2}
- 1+\sqrt2 ; \sqrt2\pm 1 ; -1\pm\sqrt2 ; \pm\sqrt{2} ; 1 \pm 2 ; 2.414, -0.414
= -1,0,1
+ 0,1,-1 ; 1, 0, -1 ; x=-1,0,1 ; -1, 0, \text{ and } 1
- \pm 1 ; 0,1 ; -101 ; -1,0,1,2
= \frac{1}{2},-\frac{1}{3}
+ -\frac13,\frac12 ; 0.5, -\frac{1}{3} ; x=\frac12,-\frac13
- \frac12,\frac13 ; 0.5,-0.33 ; \frac16
= 1+i,1-i
+ 1-i,1+i ; 1\pm i ; 1 - i, 1 + i
- 1+i ; -1\pm i ; 2 ; i\pm 1

# text boxed
= \text{Monday}
+ Monday ; \text{monday} ; \textbf{Monday} ; \mathrm{Monday} ; \text{ Monday } ; \text{MONDAY} ; \text{Monday}.
- \text{Tuesday} ; \text{Dynamo} ; Dynamo ; \text{Monday or Tuesday} ; \text{not Monday} ; M ; 1
= \text{even}
+ even ; \text{Even} ; \mathrm{even}
- odd ; \text{neither} ; \text{uneven} ; \text{Neve} ; neve ; \text{eleven} ; \text{even and odd} ; 2 ; e^2vn
= \text{east}
+ \mathrm{East}
- \text{seat} ; \text{west} ; \text{northeast} ; \text{least}
= \text{ellipse}
+ Ellipse
- \text{eclipse} ; \text{circle} ; ellipses, circle ; \ell
= \text{Yes}
+ yes ; \text{Yes.}
- \text{No} ; \text{yesterday} ; 1 ; \text{Yes and no}
= \text{isosceles}
+ isosceles ; Isosceles ; \mathrm{isosceles} ; \textbf{isosceles}
- \text{scalene} ; \text{equilateral}
= \text{Evelyn}
+ Evelyn ; \text{evelyn} ; \textbf{Evelyn} ; \mathrm{Evelyn}
- \text{Evan} ; \text{Eve} ; \text{Evelyn and Briana} ; \text{Leveny} ; \text{Evelynn}
= \text{odd}
+ odd ; \text{Odd} ; \mathrm{odd}
- \text{even} ; \text{dod} ; \text{oddest} ; d^2o

# choices boxed
= \text{(A)}
+ A ; (A) ; \text{A} ; \textbf{(A)} ; \mathrm{(A)} ; \text{(A) }
- B ; (B) ; \text{(D)} ; (A),(B) ; AB ; (A)\text{ or }(B) ; 1 ; -A ; 2A ; A^2
= C
+ (C) ; \text{C} ; \textbf{(C)}
- \text{(B)} ; D ; CC ; \text{Circle} ; 3 ; 100
= \text{E}
+ E ; \text{(E)}
- F ; 2.718281828459045 ; \text{(D)}
= \text{D}
+ D ; (D) ; \text{(D)} ; \textbf{D} ; \mathrm{D}
- \text{(E)} ; D^2 ; DA ; 4

# bases boxed
= 1011_2
+ 1011_{2}
- 1011_3 ; 1101_2 ; 1011_{12} ; 10112 ; 101_2 ; 1011^2 ; 2_{1011}
= 4210_{7}
+ 4210_7 ; 4210_{7}
- 4210_8 ; 421_7 ; 42107

# units boxed
= 12
+ 12\text{ cm} ; 12 \mathrm{km/h} ; 12\text{ m/s} ; 12\text{ cm}^2 ; 12\,\text{m}^3 ; 12 \text{ square units}
+ 12\ \text{feet} ; 12\mbox{ inches} ; 12\text{ miles per hour} ; \$12 ; 12\%
- 12^2\text{ cm} ; 12\text{ cm} \times 3\text{ cm} ; 12\text{ to }13 ; 12\text{ hours }30\text{ minutes} ; \text{ cm}
- 12\text{ ft }6\text{ in} ; 1.2\text{ m/s} ; \frac{12}{5}\text{ m} ; 12\text{ million} ; 144\text{ cm}^2
= 12\text{ cm}
+ 12 ; 12 \mathrm{cm}
- 12\text{ m} ; 12\text{ kg} ; 120 ; 1.2 ; \text{cm}
= 12\text{ m/s}
+ 12 ; 12\mathrm{m/s}
- \frac{12}{s} ; 1/12 ; 12\text{ or }13 ; 1.2
= 5\text{ cm}^2
+ 5 ; 5\text{ cm}^{2}
- 25 ; 5^2 ; 52 ; 5\text{ cm}^3 ; 10
= 90^\circ
+ 90 ; 90^{\circ} ; 90\text{ degrees} ; 90°
- 9^\circ ; 90\pi ; -90^\circ ; 900
= 90
+ 90^\circ ; 90^{\circ}
- 90^9 ; 270^\circ ; 0.9 ; 90^{\circ}30' ; 89.99^\circ
= \$18.50
+ 18.5 ; 18.50 ; \$18.50 ; 18.50\text{ dollars}
- 1850 ; 18.05 ; 18 ; 1.85
= 60
+ 60^\circ ; 60\text{ mph} ; 60\text{ miles} ; 60 \text{ seconds} ; \$60.00 ; 60\text{ ft}^2 ; 60\,\mathrm{kg}
+ 60\text{ cubic meters}
- 6\text{ mph} ; 60\text{ miles }5\text{ feet} ; 60^2 ; 1\text{ hour} ; \text{mph}
= 15\text{ mph}
+ 15 ; 15.0 ; 15\,\text{mph}
- \text{mph} ; 1.5 ; 51 ; 15\text{ or }16
= \$25,000
+ 25000 ; \$25{,}000 ; 25,000\text{ dollars} ; \$25{,}000.00 ; 25{,}000
- 25 ; 2500 ; 25.000 ; \$25

# percent boxed
= 50
+ 50\% ; 50\text{ percent} ; 50.0\%
- 0.5 ; \frac12 ; 0.50 ; 5\% ; 0.5\% ; 500\% ; 50.5\% ; -50\% ; 50\%, 60\%
= 0.5
+ 50\% ; \frac12
- 50 ; 5\% ; 500\% ; 5 ; 0.05 ; -50\%
= 50\%
+ 50 ; 0.5 ; 50\text{ percent}
- 5 ; 0.05 ; 500\% ; 5000 ; 0.5\% ; 0.005
= \frac{1}{4}
+ 25\% ; 0.25
- 25 ; 2.5\% ; 250\% ; 4 ; 4\%
= 12.5\%
+ 12.5 ; 0.125 ; 12\frac{1}{2}\%
- 1.25 ; 0.125\% ; 125\% ; 12 ; 12\%
= 150
+ 150\%
- 1.5 ; \frac32 ; 15\% ; 1.5\%
= 0.05
+ 5\% ; \frac{1}{20} ; 0.050
- 5 ; 50\% ; 0.5

# percent hashes
= 50
+ 50% ; 50 percent ; 50.00%
- 0.5 ; 1/2 ; 5% ; 505% ; 50% or 60% ; %
= 20
+ 20% ; 20.0% ; 20 percent ; 20 %
- 0.2 ; 2% ; 20.2% ; 1/5
""")

MARKS = [
    Group(
        "marks",
        "hashes",
        "73",
        right=(
            "70 + 3 = <<70+3=73>>73 eggs.\n#### 73",
            "#### 73",
            "So many.\n####73",
            "So many.\n####   73   \n\n",
            "First guess.\n#### 12\nNo, that misses one step.\n#### 73",
            "#### 73\nI hope this helps! Ask me about 12 other problems.",
            "#### 73\nThe answer is 74, some would say.",
            "So it is #### 73",
            "So many.\r\n#### 73\r\nDone.",
            "The answer is 74.\n#### 73",
            r"So we get $\boxed{73}$.",
            r"So we get $\fbox{73}$ eggs.",
            "Some find $\\boxed{74}$.\n#### 73",
            "#### 73\nIn other words $\\boxed{74}$.",
        ),
        wrong=(
            "#### 73\nNo, that misses one step.\n#### 12",
            "#### 73\nOnce more:\n####",
            "#### 73\nOnce more:\n####   \n",
            "So many.\n####",
            "So many.\n####\n73",
            "#### Solution\nThe answer is 73.",
            "#### Step 1\n70 + 3\n#### Step 2\nThis is 73.",
            "#### 73\n#### Note\n73 is what we wanted.",
            "#### 7\n3",
            "73 - 1 = 72\n#### 72\n73 eggs were there before.",
            "**73**\n#### 37",
            "#### 74\nIn other words $\\boxed{73}$.",
            "So $\\boxed{73}$.\n####",
            "So $\\boxed{73}$.\n#### 74",
            r"So we get $\boxed{74}$, not 73.",
            r"So we get $\boxed{73",
            r"So we get $\boxed{}$, that is 73.",
        ),
        none=(
            "",
            "73",
            " \n\n",
            "**73**",
            "The answer is 73.",
            "Answer: 73",
            "70 + 3 = <<70+3=73>>73",
            "### 73",
            "# 73 #",
            "The final answer is $73$.",
            "I cannot solve this.",
            "> 73",
        ),
    ),
    Group(
        "marks",
        "hashes",
        r"\frac{1}{2}",
        right=(r"#### $\frac{1}{2}$",),
        wrong=(r"#### \frac{1}{2", r"#### \frac{1"),
    ),
    Group(
        "marks",
        "boxed",
        "5",
        right=(
            r"\boxed{5}",
            r"First $\boxed{4}$ apples, and one more makes $\boxed{5}$.",
            r"Thus $\boxed{5}$ apples remain, which is less than 6. Check: 5 + 1 = 6.",
            r"\[ x = \boxed{5}. \]",
            "$$\n\\boxed{\n5\n}\n$$",
            r"\boxed 5",
            r"The result is $\boxed 5$ apples.",
            r"\boxed {5}",
            r"\boxed{ 5 }",
            r"\boxed{{5}}",
            r"\boxed{$5$}",
            r"\boxed{\text{5}}",
            r"\boxed{\boxed{5}}",
            r"\fbox{5}",
            r"\boxed{6} is too many, so it is \fbox{5}",
            r"\boxed{x = 5}",
            r"$\boxed{5}$. The answer is 6.",
            "So many.\n#### 5",
            "#### 6\nNo: $\\boxed{5}$.",
            "$\\boxed{5}$\n#### 6",
            r"$x = \boxed{2}$ or $x = \boxed{5}$",
            r"$\boxed{$ was a slip; it is $\boxed{5}$.",
        ),
        wrong=(
            r"First $\boxed{5}$ apples, and one more makes $\boxed{6}$.",
            r"\fbox{5} and then \boxed{6}",
            r"\boxed{5} and then \fbox{6}",
            r"\boxed{}",
            r"\boxed{ }, that is 5",
            r"$\boxed{5}$, or $\boxed{}$",
            r"$\boxed{5}$, or once more $\boxed{5",
            r"\boxed{5",
            r"5 = \boxed{",
            r"\boxed{5} \boxed",
            r"\boxed{5\}",
            r"\boxed{5, 6}",
            r"\boxed{6} The answer is 5.",
            r"\boxed 6",
            "So many.\n#### 6",
            "So 5.\n####",
            "#### 5\nNo: $\\boxed{6}$.",
            "#### 5\nThat is, $\\boxed{",
            "#### 5\nThat is, $\\boxed{}$.",
            r"\boxed{\text{How many apples remain?}} It is 5.",
        ),
        none=(
            "",
            "5",
            "The answer is $5$.",
            "**5**",
            "Answer: 5",
            "boxed{5}",
            r"\box{5}",
            "[5]",
            "$$x = 5$$",
            r"\text{5}",
        ),
    ),
    Group(
        "marks",
        "boxed",
        r"\frac{1}{2}",
        right=(
            r"\boxed{\frac{1}{2}}",
            r"\boxed{\frac{1}{2}}}",
            r"\boxed{\displaystyle\frac{1}{2}}",
            r"Hence $p=\boxed{\dfrac{1}{2}}$, since $\frac{2}{4}=\frac{1}{2}$ and not $\frac{1}{3}$.",
        ),
        wrong=(
            r"\boxed{\frac{1}{2}",
            r"\boxed{\frac{1}{3}} and not \frac{1}{2}",
            r"\boxed{\frac{1}}{2}",
            r"\boxed{1}/2",
            r"\frac{\boxed{1}}{\boxed{2}}",
        ),
    ),
    Group(
        "marks",
        "boxed",
        r"\{1,2\}",
        right=(r"\boxed{\{1,2\}}", r"\boxed{\left\{2,1\right\}}"),
        wrong=(r"\boxed{\{1,2\}", r"\boxed{1},\boxed{2}", r"\boxed{\{1\}} \cup \{2\}"),
    ),
    Group("marks", "boxed", "2,3", wrong=(r"$x=\boxed{2}$ or $x=\boxed{3}$",)),
    Group(
        "marks",
        "boxed",
        "10^8",
        right=(r"\boxed{10^{2^{3}}}", r"\boxed{100{,}000{,}000}"),
        wrong=(r"\boxed{10^{2^{3}}",),
    ),
    Group("marks", "boxed", r"\text{Monday}", right=(r"\boxed{\text{Monday}} is the day after \text{Sunday}",)),
    Group(
        "marks",
        "boxed",
        r"\text{(A)}",
        right=(r"\boxed{\text{(A)}}",),
        wrong=(r"\boxed{\text{(A)}} or \boxed{\text{(B)}}",),
    ),
]

LENIENT = [
    Group(
        "any",
        "any",
        "5",
        right=(
            "2 + 3 = 5. The answer is 5.",
            "The answer is 5",
            "Answer: 5",
            "So many remain: **5**",
            "Is it **6**? No. The answer is 5.",
            "The answer is 6. No, wait. The answer is 5.",
            "The answer is 5 apples.",
            "The answer is $5.00.",
            "Answer: 5\nThis is what remains of 12.",
            "The answer is 6.\n#### 5",
            r"The answer is 6, or rather $\boxed{5}$.",
        ),
        wrong=(
            "The answer is 6.",
            "Answer: 15",
            "**6**",
            "The answer is 5. No, wait. The answer is 6.",
            "The answer is 5 or 6.",
            "The answer is not 5.",
            "The answer is -5.",
            "The answer is 5.5.",
            "The answer is unknown.",
            "**5**\nAnswer: 6",
            r"So $\boxed{6}$. The answer is 5.",
            "#### 6\nThe answer is 5.",
            "The answer is 5.\n####",
            r"The answer is 5, that is \boxed{",
        ),
        none=("", "5", "2 + 3 = 5", "So 5 apples remain.", "I cannot solve this.", "### 5", "*5*"),
    ),
    Group(
        "any",
        "any",
        "1234",
        right=("The answer is 1,234.", "**$1,234**"),
        wrong=("The answer is 1.", "**234**"),
    ),
    Group("any", "any", r"\frac{1}{2}", right=(r"The answer is $\frac{1}{2}$.",), wrong=("The answer is 2.",)),
    Group(
        "any",
        "any",
        "3.5",
        right=("The answer is 3.50.", "Answer: 7/2"),
        wrong=("The answer is 3.", "Answer: 5"),
    ),
]

GROUPS = [*BARE, *MARKS, *LENIENT]
