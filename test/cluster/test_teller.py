# SPDX-License-Identifier: LGPL-2.1-or-later
"""The comparison of what members were told (hamgrlab/teller.py) finds what it is there for."""

import pytest

from hamgrlab.teller import Comparison, Teller

# Two members that pass through the same two views, a third that joins between them, one of them dies.
ANN = """start 1 g ann
begin 1.1/5 0 00 ann@1:1 nothing
view 1.1/9 10 aa ann@1:1,bob@2:1 none
mark 1.1/9 256 cc
view 2.1/3 300 dd ann@1:1,bob@2:1,eve@3:1 none
mark 2.1/3 512 ee
view 3.1/1 600 ff ann@1:1,eve@3:1 bob@2:1=node-lost
end 700 99 350 350"""
BOB = """start 1 g bob
begin 1.1/9 10 aa ann@1:1,bob@2:1 snapshot
mark 1.1/9 256 cc
view 2.1/3 300 dd ann@1:1,bob@2:1,eve@3:1 none
mark 2.1/3 512 ee"""
EVE = """start 1 g eve
begin 2.1/3 300 dd ann@1:1,bob@2:1,eve@3:1 snapshot
mark 2.1/3 512 ee
view 3.1/1 600 ff ann@1:1,eve@3:1 bob@2:1=node-lost
sum 650 10 9 0"""


def compared(ann=ANN, bob=BOB, eve=EVE):
    comparison = Comparison()
    for name, node, text in (("ann", "n1", ann), ("bob", "n2", bob), ("eve", "n3", eve)):
        comparison.take(node, "g", name, [("1.0 " + line).split() for line in text.splitlines()])
    return comparison


def test_what_agrees_is_counted():
    comparison = compared()
    assert comparison.differences() == []
    figures = comparison.figures()
    assert (figures["views"], figures["views_compared"], figures["steps_compared"], figures["marks_compared"]) == (4, 3, 2, 2)
    assert (figures["lives"], figures["delivered"]) == (3, 700 + 512 - 10 + 650 - 300)


@pytest.mark.parametrize("change, what", [
    ({"bob": BOB.replace("300 dd", "299 dd")}, "at view 2.1/3 of g"),  # one message less
    ({"bob": BOB.replace("300 dd", "300 d0")}, "at view 2.1/3 of g"),  # another one, or another order
    ({"eve": EVE.replace("300 dd", "300 d0")}, "at view 2.1/3 of g"),  # a snapshot of another point
    ({"eve": EVE.replace("ff ann@1:1,eve@3:1", "ff ann@1:1")}, "at view 3.1/1 of g"),  # other members
    ({"bob": BOB.replace("512 ee", "512 e0")}, "after view 2.1/3 of g"),  # what the dead one saw last
    ({"eve": EVE.replace("view 3.1/1", "view 3.1/2")}, "in what follows view 2.1/3 of g"),  # a view more or less
    ({"bob": BOB + "\nsum 601 9 9 0"}, "bob@n2 was told 1 messages more after view 2.1/3 of g"),  # and died with it
    ({"ann": ANN.replace("350 350", "350 349")}, "left with 349 of 350 messages seen back"),
    ({"bob": BOB + "\nwrong repeated: from ann@1"}, "bob@n2 of g: repeated: from ann@1"),
])
def test_what_differs_is_found(change, what):
    differences = compared(**change).differences()
    assert len(differences) == 1 and what in differences[0], differences


def test_what_was_cut_short_by_a_kill_is_left_out():
    class Files:
        text = "1.0 start 1 g a .\n1.1 begin 1.1/1 0 00 a@1:1 nothing .\n1.2 mark 1.1/1 25"

        def run(self, *_):
            pass

        def read(self, _node, _path, offset):
            return self.text[offset:]

    files = Files()
    teller = Teller(files, "n1", "g", "a")
    teller.lines()
    assert [line[1] for line in teller.seen] == ["start", "begin"]
    # The rest of it comes later; or another life begins behind it.
    files.text += "6 aa .\n1.3 mark 1.1/1 51\n2.0 start 2 g a .\n"
    assert [line[1] for line in teller.lines()] == ["start", "begin", "start"]
    assert [line[1] for line in teller.seen] == ["start", "begin", "mark", "start"]
