"""Files of PyTorch: tensors come through as they were, and no attack runs or gets through."""

import base64
import io
import os
import pickle
import struct
import zipfile
import zlib

import numpy as np
import pytest

from darac_tf.errors import UserError
from darac_tf.models.torch_files import read_torch_file

# What torch.save of PyTorch 2.13 wrote in its two formats of `{"arch": "x", "state_dict": ...}`,
# an ordered dictionary with `_metadata`, of EXPECTED: transposed, every second, no dimension, a
# parameter, empty.
WRITTEN = {
    "zip": (
        b"c-o~^O>Epm6rS}a-mTN-uh66cLQ7lNK)UgI|Jy(+D|L}vsp(co78lFeon|c@JI|gC1u1HzDk)qLaN>kGa^Q|"
        b"Q^~w#=11D}AD#U@RcO+))tm|>QNz;yY{Ij0#=Z)WcUeU8d2<7u=-xx=e$nx7=dlN5oEMgTmK5;a46n)H%ZD9"
        b"*g!Jr)BV#pX7dU*!~L!#$^SOl9LyG<b5ZhMY{+r;+VK)T^~u#Y>-^oayRb1fJy7$OCbp6}ugh;8CgwxZc1wi"
        b"8IEk5_xP(=iEl1J5@%6$x^Mf{_a)Jl|TwkdGje=6Dvl75yo}vCxhTl98q7_C^mzbdkXEn>y07y08l;^o*X}h"
        b"0!m&%*7ai@fJ*k;cQqwfypk_>Grulw4B>9^~sRB1g~^Q^gMxAZ|Z_B?7%5@n2PA837l@hj4{l#y`D?pHIDDP"
        b"=dQ(kuZMgJyg~Ug1ZJtlxw(kvO#)|HaMm~$*|OF#!9Kh-V3Xn%5}f1Ymc8DpgJZ$-p<o#<P(gvf+iXv$_jmN"
        b"n4iqBcIRfvt;Jq)xoB8{2u?59&b6n5Gun@6#qfM@WOo<SI5+g!vR~5R)nO!JHWEBF{7SwuMP!A(9sY#1v7Bs"
        b"e?X|SAwOIvU`e65?<4``;qqMiwYV6|6V(R2AHS066e0zz!A3{2dqMB)~2d;Ypb%ssmO`CDSVKmYsZJr)9+gL"
        b"!9A{VDHW+L@MPues~kC7N1JQ9swHRhWULPvLJG6A}(IFoBk01FN4A?6D%!)XOiT+aHcih=ZAjo%jDb%}P)_("
        b"8DPDfa?kivZh{o2?G)9_7Xi@p+7pe>HOgeb2Rn!qi?3^gXu#Y&GU{*np!|d&|jp=Dq2QYk%q1@-T%J&>7Vhi"
        b"10Jkf;dK>Fm5;m=xji<fyYa^(j|t@u(Ou+q%bMCiFSq}Xmr%mTZ@=C>!N-rDC;rNd#6LLBF?2HKkIQ!~El`%"
        b"2<KMqu`{?lcnMKOe0uC()*tcl~e{Qj_l4*A|wRpq`WVu=`HRV#HT2|z8wJFydb-AWg<w~>JXjW@Ax!F)kN|m"
        b"|1kh?Wmpgszr%M3Fc`%JdB@qNzI-{CYm*}$ea<Szmm)C|)k$tE<zH=Zmyp!219l8t17<M}qh6F0ClJX!Ul9Q"
        b"@P}O7)&JHd(nm_Qy1~l*T5jkH?-FPGOZaHd!$|_PaE;+{Zq<rZ`<Og{`D@lX*YJVYd_50q;ARj<X#2VFLW@L"
        b"Rry8alT(x*^4o9Bz1leg^KRv`t3ywuj*2CAANC$#RxMJu8-FK4>L_rk^"
    ),
    "legacy": (
        b"c-nPRNpI6Y6do^G>e5nn%3Ah>B{Xi91}e2eB_Iu3&BYgFIrdN+8Bd-)t^g@gE-i)Mz=0!wjT=`a4m{f=RjM%"
        b"ZjAq^&f8Y1Mc|-ZD7X10v{k`<=$E(HKP=5YX!F2$nVlEIu`Vkl0;eoZoqS)slNO-}V!%W}{5ipB|u5X7R@0%"
        b"J1#m7FgV*eA1K^cHrF$)-sJst@tP}x-Q<c9)^R5jHUgNNHtqH2<iIMb*dIUY!+gxe1wXSlJj1+!e=5ui9ICt"
        b"!|1HL><Ga#_UOP0VPZRt+dr%wj4ei9+T=(GeWcYE~lrAl9si^%6gDEy2Q=N7jz6L8($POBn@^>}>|+{1>eoa"
        b"9h02gBr}3^LVGz&>Qu3v!OTZ&87}oR*=(AV3rnN2spAu300`P2Xj=S${x&r@ls7k1uPhFEGw>WqZh|LWc5Z&"
        b"Pwn9CnCQeLQERoXufj=hmX?v=)E1SgybGt(<xCEKR=}bG=Q5`qo}jzuC(xgv$7A#hlj!Z%ioOgN5nV#`ODMl"
        b"u%~3B4STf*>Ig?Aa-!s7?xcVPE$2T;%HbK70lU~5a^w$s3x7%3U4WyTm{$}bP)^&?YyHLqxR0Z5N;Ld(_xce"
        b"FI8Boh?40*`le$M619ImR<T83qWB?wzjVM+QLI=+px2P-*rLqOAjRx*HgR;7gn*sd*XSRFve#0Y^019+G<$E"
        b"f?)s1(O>FKyR1X}eBo3TfH{%F}#TrpZ>PSyW)Pw5boqa2=No{BRC&e%~k`B-b$Wh-{L_q)VPi|AHklIpm4cu"
        b"l3RHF9Ul6dH"
    ),
}
EXPECTED = {
    "turned": np.arange(6, dtype=np.float32).reshape(2, 3).T,
    "part": np.array([2, 4], np.float16),
    "count": np.array(7, np.int64),
    "parameter": np.array([1.0, 0.0]),
    "none": np.zeros((0, 3), np.float32),
}
NUMBERS = struct.pack("<4f", 1, 2, 3, 4)
MAGIC = bytes.fromhex("80028a0a6cfc9c46f9206aa850192e")


def write(tmp_path, data):
    path = tmp_path / "weights.pth"
    path.write_bytes(data)
    return path


def written(kind):
    return zlib.decompress(base64.b85decode(WRITTEN[kind]))


def legacy(body, keys=("0",), little=True):
    start = pickle.dumps(1001, 2) + pickle.dumps({"little_endian": little}, 2)
    return MAGIC + start + body + pickle.dumps(list(keys), 2) + struct.pack("<q", 4) + NUMBERS


def zipped(body, storage=NUMBERS, how=zipfile.ZIP_STORED, **more):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, data in {"data.pkl": body, "data/0": storage, **more}.items():
            archive.writestr(f"weights/{name}", data)
    return file.getvalue()


def tensor(offset=0, size="I2\n", stride="I1\n", kind="FloatStorage", count=4, more=""):
    """The pickle of a tensor in the text protocol."""
    storage = f"(S'storage'\nctorch\n{kind}\nS'0'\nS'cpu'\nI{count}\n{more}tQ"
    numbers = f"I{offset}\n({size}t({stride}t"
    return f"ctorch._utils\n_rebuild_tensor_v2\n({storage}{numbers}I00\nNtR.".encode()


@pytest.mark.parametrize("kind", WRITTEN)
def test_what_pytorch_writes(tmp_path, kind):
    found = read_torch_file(write(tmp_path, written(kind)))
    assert found["arch"] == "x" and list(found["state_dict"]) == list(EXPECTED)
    for name, expected in EXPECTED.items():
        assert found["state_dict"][name].dtype == expected.dtype
        np.testing.assert_array_equal(found["state_dict"][name], expected, strict=True)


@pytest.mark.parametrize("kind", WRITTEN)
def test_truncated_anywhere(tmp_path, kind):
    data = written(kind)
    for end in range(0, len(data) - 1, 29):
        with pytest.raises(UserError, match=r"weights\.pth: not a complete PyTorch file"):
            read_torch_file(write(tmp_path, data[:end]))


@pytest.mark.parametrize("wrap", [legacy, zipped])
def test_the_tensor_of_the_refusals_below_is_read(tmp_path, wrap):
    found = read_torch_file(write(tmp_path, wrap(tensor(1))))
    np.testing.assert_array_equal(found, np.array([2, 3], np.float32), strict=True)


class Calls:
    """Pickles to a call of a function."""

    def __init__(self, function, *arguments):
        self.reduced = (function, arguments)

    def __reduce__(self):
        return self.reduced


@pytest.mark.parametrize("wrap", [legacy, zipped])
@pytest.mark.parametrize(
    ("body", "name"),
    [
        (lambda w: pickle.dumps({"a": Calls(os.system, f"touch {w}")}, 2), r"posix\.system"),
        (lambda w: pickle.dumps(Calls(eval, f"open({str(w)!r}, 'w')"), 2), r"__builtin__\.eval"),
        (lambda w: b"ctorch.nn.modules.linear\nLinear\n)R.", r"torch\.nn\.modules\.linear\.Linear"),
        (lambda w: tensor(kind="QUInt8Storage"), r"torch\.QUInt8Storage"),
        (lambda w: tensor(more="(S'1'\nI0\nI4\nt"), "a part of a storage"),
        (lambda w: b"ctorch\nFloatStorage\n}b.", "the instruction BUILD"),
        (lambda w: b"S'module'\nQ.", r"a persistent id \(module\)"),
    ],
)
def test_attacks_are_refused_by_name(tmp_path, wrap, body, name):
    witness = tmp_path / "ran"
    path = write(tmp_path, wrap(body(witness)))
    with pytest.raises(UserError, match=f"refused, because the pickle asks for {name}") as caught:
        read_torch_file(path)
    assert not witness.exists() and "\n" not in str(caught.value)


BEYOND = {
    "offset": tensor(3),
    "stride": tensor(stride="I4\n"),
    "negative stride": tensor(3, stride="I-1\n"),
    "many of one": tensor(size="I1000000000000\n", stride="I0\n"),
    "shape and strides": tensor(stride="I2\nI1\n"),
    "no number": tensor(size="S'a'\n"),
    "long storage": tensor(count=10**12),
    "negative storage": tensor(count=-1),
    "short storage": tensor(count=3),
    "wider numbers": tensor(kind="DoubleStorage"),
    "two lengths": b"(" + tensor()[:-1] + tensor(count=3)[:-1] + b"t.",
    "a type alone": b"ctorch\nFloatStorage\n.",
    "a type for a storage": b"ctorch._utils\n_rebuild_tensor\n(ctorch\nFloatStorage\nI0\n(t(ttR.",
    "a tensor as a key": b"}" + tensor()[:-1] + b"I1\ns.",
}


@pytest.mark.parametrize("wrap", [legacy, zipped])
@pytest.mark.parametrize("case", BEYOND)
def test_sizes_are_checked_against_the_bytes(tmp_path, wrap, case):
    with pytest.raises(UserError, match="not a complete PyTorch file"):
        read_torch_file(write(tmp_path, wrap(BEYOND[case])))


ODD = {
    "other keys": (legacy(tensor(), keys=["0", "1"]), "other storages"),
    "a key twice": (legacy(tensor(), keys=["0", "0"]), "other storages"),
    "big-endian": (legacy(tensor(), little=False), "another order than little-endian"),
    "big-endian archive": (zipped(tensor(), byteorder=b"big"), "another order than little-endian"),
    "compressed": (zipped(tensor(), how=zipfile.ZIP_DEFLATED), "is compressed"),
    "no pickle": (zipped(tensor()).replace(b"data.pkl", b"data.pk_"), "ValueError"),
    "other protocol": (MAGIC + pickle.dumps(1002, 2), "another version"),
    "Keras": (b"\x89HDF\r\n", "begins as no file of torch.save"),
}


@pytest.mark.parametrize("case", ODD)
def test_odd_files(tmp_path, case):
    data, message = ODD[case]
    with pytest.raises(UserError, match=f"not a complete PyTorch file .*{message}"):
        read_torch_file(write(tmp_path, data))


def test_bytes_are_not_taken_again_and_again(tmp_path):
    # Entries of an archive may lie over each other.
    data = zipped(
        b"(" + tensor(count=1000)[:-1] + tensor(count=1000)[:-1].replace(b"S'0'", b"S'1'") + b"t.",
        bytes(4000),
        **{"data/1": b""},
    )
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        first, second = (archive.getinfo(f"weights/data/{i}") for i in "01")
    own = struct.pack("<LLL", second.CRC, 0, 0)
    place = data.index(own, data.index(b"PK\x01\x02"))
    overlaid = bytearray(data)
    overlaid[place : place + 12] = struct.pack("<LLL", first.CRC, 4000, 4000)
    overlaid[place + 26 : place + 30] = struct.pack("<L", first.header_offset)
    with pytest.raises(UserError, match="which the file can't hold"):
        read_torch_file(write(tmp_path, bytes(overlaid)))


def test_missing(tmp_path):
    with pytest.raises(UserError, match=r"absent\.pth: can't be read"):
        read_torch_file(tmp_path / "absent.pth")
