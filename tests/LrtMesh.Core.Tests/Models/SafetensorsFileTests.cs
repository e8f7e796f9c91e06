using System.Buffers.Binary;
using System.Text;
using CsCheck;
using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Models;

/// <summary>A damaged or hostile file gives an error that names the file, and nothing is read from it.</summary>
[Collection(CheckpointsRunAlone.Name)]
public sealed class SafetensorsFileTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public SafetensorsFileTests() => CheckpointsRunAlone.Settle();

    public void Dispose() => File.Delete(_path);

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 7, "'a' ends at byte 8 of the data, and the file holds 7")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 9, "8 bytes, and the file holds 9")]
    [InlineData("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", 8, "'a' takes 12 bytes by its shape and 8 by its offsets")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", 8, "'a' ends at byte 0 of the data, before its start at 8")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", 8, "'a': shape must be a list of integers from 0")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2.5],"data_offsets":[0,8]}}""", 8, "'a': shape must be")]
    [InlineData("""{"a":{"dtype":"F32","shape":["2"],"data_offsets":[0,8]}}""", 8, "'a': shape must be")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551624]}}""", 8, "'a': data_offsets must be")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}""", 8, "'a' has a shape whose size")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,0]}}""", 0, "'a' has a shape whose size")]
    [InlineData("""{"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}}""", 2, "'a' has a shape whose size")]
    [InlineData("""{"a":{"dtype":"Q4","shape":[2],"data_offsets":[0,8]}}""", 8, "'a' has dtype Q4")]
    [InlineData("""{"a":{"dtype":32,"shape":[2],"data_offsets":[0,8]}}""", 8, "'a' must be described")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2]}}""", 8, "'a' must be described")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4,8]}}""", 8, "'a' must be described")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"stride":[1]}}""", 8, "'a' must be described")]
    [InlineData("""{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 8, "'a' must be described")]
    [InlineData("""{"a":7}""", 0, "'a' must be described")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "starts at byte 0")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}""", 12, "'b' starts at byte 4")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}""", 12, "'b' starts at byte 8")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "'a' starts at byte 4")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "'a' is given twice")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"\u0061":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "'a' is given twice")]
    [InlineData("""{"__metadata__":{"k":"1","k":"2"}}""", 0, "'k' is given twice")]
    [InlineData("""{"__metadata__":{},"__metadata__":{}}""", 0, "__metadata__ is given twice")]
    [InlineData("""{"__metadata__":{"k":1}}""", 0, "'k' must be a text")]
    [InlineData("""{"__metadata__":7}""", 0, "must be an object of texts")]
    [InlineData("""{"\ud800":{"dtype":"F32","shape":[],"data_offsets":[0,4]}}""", 4, "not JSON in UTF-8")]
    [InlineData("""[]""", 0, "not a JSON object")]
    [InlineData(""" {}""", 0, "not a JSON object")]
    [InlineData("""{} x""", 0, "not JSON")]
    [InlineData("""{"a":""", 0, "not JSON")]
    public void Damage_is_named(string header, int dataBytes, string message)
    {
        Write((ulong)Encoding.UTF8.GetByteCount(header), Encoding.UTF8.GetBytes(header), dataBytes);
        var error = Assert.Throws<LrtMeshException>(() => SafetensorsFile.Open(_path));
        Assert.Equal(ErrorReason.DataLoss, error.Reason);
        Assert.Contains(_path, error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_header_that_is_not_utf8_is_refused()
    {
        byte[] header = [.. "{\"a"u8, 0xC3, 0x28, .. "\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}"u8];
        Write((ulong)header.Length, header, 4);
        Assert.Contains("not JSON in UTF-8", Assert.Throws<LrtMeshException>(() => SafetensorsFile.Open(_path)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(3UL)]
    [InlineData(1000UL)]
    [InlineData((100UL << 20) + 1)]
    [InlineData(long.MaxValue)]
    [InlineData(ulong.MaxValue)]
    public void A_header_that_does_not_fit_the_file_is_refused_and_not_allocated(ulong length)
    {
        Write(length, "{}"u8, 0);
        var before = GC.GetAllocatedBytesForCurrentThread();
        Assert.Contains("header's length", Assert.Throws<LrtMeshException>(() => SafetensorsFile.Open(_path)).Message, StringComparison.Ordinal);
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 100_000);
    }

    [Theory]
    [InlineData(0)]
    [InlineData(7)]
    public void A_file_too_short_for_a_header_is_refused(int bytes)
    {
        File.WriteAllBytes(_path, new byte[bytes]);
        Assert.Contains($"has {bytes} bytes", Assert.Throws<LrtMeshException>(() => SafetensorsFile.Open(_path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_tensor_a_wrong_shape_and_a_wrong_dtype_are_named()
    {
        using var values = arange(6, ScalarType.Float32);
        using var mask = ones([6], ScalarType.Bool);
        SafetensorsWriter.Write(_path, [("a", values), ("mask", mask)]);
        using var file = SafetensorsFile.Open(_path);
        Refused("no tensor 'b'", () => file.Read("b", [6], ScalarType.Float32));
        Refused("'a' has shape [6], and [2, 3]", () => file.Read("a", [2, 3], ScalarType.Float32));
        Refused("'mask' has dtype BOOL, and F32", () => file.Read("mask", [6], ScalarType.Float32));
        Refused("'a' has dtype F32, and I64", () => file.Read("a", [6], ScalarType.Int64));
        using var read = file.Read("a", [6], ScalarType.Float32);
        Assert.Equal(values.Floats().ToArray(), read.Floats().ToArray());
        using var readMask = file.Read("mask", [6], ScalarType.Bool);
        Assert.Equal(new byte[] { 1, 1, 1, 1, 1, 1 }, readMask.bytes.ToArray());
    }

    [Fact]
    public void Tensors_of_types_that_torch_lacks_may_lie_in_a_file()
    {
        var header = """{"x":{"dtype":"F8_E4M3","shape":[4],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[],"data_offsets":[4,8]},"none":{"dtype":"I64","shape":[0,3],"data_offsets":[8,8]}}"""u8;
        Write((ulong)header.Length, header, 8);
        using var file = SafetensorsFile.Open(_path);
        Refused("'x' has dtype F8_E4M3", () => file.Read("x", [4], ScalarType.Float32));
        using var read = file.Read("a", [], ScalarType.Float32);
        Assert.Equal(0f, read.item<float>());
        using var none = file.Read("none", [0, 3], ScalarType.Int64);
        Assert.Equal(0, none.numel());
    }

    [Theory]
    [InlineData(ScalarType.Float64)]
    [InlineData(ScalarType.Float32)]
    [InlineData(ScalarType.Float16)]
    [InlineData(ScalarType.BFloat16)]
    public void Floating_types_are_converted_as_torch_does_across_pieces(ScalarType stored)
    {
        // Longer than the pieces in which a tensor is read (4 MiB), and by no whole number of them.
        using var values = randn(4099, 2053).to(stored);
        SafetensorsWriter.Write(_path, [("small", values[0]), ("a", values)]);
        using var file = SafetensorsFile.Open(_path);
        foreach (var wanted in new[] { ScalarType.Float32, ScalarType.BFloat16 })
        {
            using var read = file.Read("a", [4099, 2053], wanted);
            using var expected = values.to(wanted);
            Assert.Equal(wanted, read.dtype);
            Assert.True(read.equal(expected).all().item<bool>());
        }
    }

    [Fact]
    public void A_file_cut_off_after_it_was_opened_is_an_error_and_no_crash()
    {
        using var values = arange(1 << 20, ScalarType.Float32);
        SafetensorsWriter.Write(_path, [("a", values)]);
        using var file = SafetensorsFile.Open(_path);
        using (var cut = new FileStream(_path, FileMode.Open, FileAccess.Write, FileShare.ReadWrite))
        {
            cut.SetLength(1 << 20);
        }

        Refused("was cut off while tensor 'a' was read", () => file.Read("a", [1 << 20], ScalarType.Float32));
    }

    [Fact]
    public void Whatever_bytes_change_the_reader_refuses_or_reads_within_the_file()
    {
        using var values = arange(32, ScalarType.Float32);
        SafetensorsWriter.Write(_path, [("layer.0", values), ("layer.1", values)]);
        var good = File.ReadAllBytes(_path);
        Gen.Select(Gen.Int[0, good.Length - 1], Gen.Byte).Array[1, 6].Sample(
            changes =>
            {
                var bytes = (byte[])good.Clone();
                foreach (var (at, value) in changes)
                {
                    bytes[at] = value;
                }

                OpenAndRead(bytes);
            },
            iter: 3000, threads: 1);
    }

    [Fact]
    public void Whatever_a_header_says_the_reader_refuses_it_or_reads_within_the_file()
    {
        // Pieces of headers in any order, which come further than random bytes do.
        string[] pieces =
        [
            "{", "}", "[", "]", ",", ":", "\"", "\\", " ", "0", "8", "-1", "32", "1e3", "9223372036854775807", "18446744073709551616", "null", "\"a\"", "\"b\"",
            "\"a\":{\"dtype\":\"F32\",\"shape\":[32],\"data_offsets\":[0,128]}", "\"b\":{\"dtype\":\"BF16\",\"shape\":[2,32],\"data_offsets\":[0,128]}",
            "\"c\":{\"dtype\":\"F32\",\"shape\":[32],\"data_offsets\":[128,256]}", "\"dtype\":", "\"shape\":", "\"data_offsets\":", "\"F32\"", "[0,128]", "[32]",
            "\"__metadata__\":", "{\"format\":\"pt\"}", "\"\\ud800\"", "\u0000", "é",
        ];
        Gen.Select(Gen.Int[0, pieces.Length - 1].Array[0, 12], Gen.Bool, Gen.Int[-2, 2], Gen.Int[0, 300]).Sample(
            (parts, braces, off, data) =>
            {
                var text = string.Concat(parts.Select(part => pieces[part]));
                var header = Encoding.UTF8.GetBytes(braces ? "{" + text + "}" : text);
                var bytes = new byte[8 + header.Length + data];
                BinaryPrimitives.WriteInt64LittleEndian(bytes, Math.Max(0, header.Length + off));
                header.CopyTo(bytes, 8);
                OpenAndRead(bytes);
            },
            iter: 5000, threads: 1);
    }

    /// <summary>Anything but a refusal fails the test, and so does more memory than the file could need.</summary>
    private void OpenAndRead(byte[] bytes)
    {
        File.WriteAllBytes(_path, bytes);
        var before = GC.GetAllocatedBytesForCurrentThread();
        var tensors = Tensor.TotalCount;
        try
        {
            using var file = SafetensorsFile.Open(_path);
            foreach (var (name, tensor) in file.Tensors)
            {
                Assert.InRange(tensor.End, tensor.Begin, bytes.Length);
                using var read = file.Read(name, tensor.Shape, tensor.Type.Torch ?? ScalarType.Float32);
            }
        }
        catch (LrtMeshException)
        {
            // refused, as it should be
        }

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 200_000);
        Assert.Equal(tensors, Tensor.TotalCount);
    }

    private static void Refused(string message, Func<Tensor> read)
    {
        var tensors = Tensor.TotalCount;
        Assert.Contains(message, Assert.Throws<LrtMeshException>(() => read()).Message, StringComparison.Ordinal);
        Assert.Equal(tensors, Tensor.TotalCount);
    }

    private void Write(ulong headerLength, ReadOnlySpan<byte> header, int dataBytes)
    {
        using var file = File.Create(_path);
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteUInt64LittleEndian(length, headerLength);
        file.Write(length);
        file.Write(header);
        file.Write(new byte[dataBytes]);
    }
}
