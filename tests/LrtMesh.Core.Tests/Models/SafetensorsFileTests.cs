using System.Buffers.Binary;
using System.Text;
using CsCheck;
using LrtMesh.Core.Models;
using LrtMesh.Core.Tensors;
using TorchSharp;
using Xunit;
using static TorchSharp.torch;

namespace LrtMesh.Core.Tests.Models;

/// <summary>A damaged or hostile checkpoint gives an error that names the file, and nothing is read from it.</summary>
public sealed class SafetensorsFileTests : IDisposable
{
    private readonly string _path = Path.GetTempFileName();

    public void Dispose() => File.Delete(_path);

    [Theory]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 7, "8 bytes, and the file holds 7")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}""", 9, "8 bytes, and the file holds 9")]
    [InlineData("""{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}""", 8, "'a' takes 12 bytes by its shape and 8 by its offsets")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}""", 8, "'a' has a negative")]
    [InlineData("""{"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}}""", 8, "'a' has a negative")]
    [InlineData("""{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}""", 8, "'a' is not described")]
    [InlineData("""{"a":{"dtype":"Q4","shape":[2],"data_offsets":[0,8]}}""", 8, "'a' has dtype Q4")]
    [InlineData("""{"a":{"dtype":"F32","shape":[2]}}""", 8, "'a' is not described")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}""", 4, "starts at byte 0")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "'a' starts at byte 4")]
    [InlineData("""{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}""", 8, "not JSON with distinct keys")]
    [InlineData("""[]""", 0, "not a JSON object")]
    [InlineData("""{"a":""", 0, "not JSON")]
    public void Damage_is_named(string header, int dataBytes, string message)
    {
        Write(Encoding.UTF8.GetByteCount(header), header, dataBytes);
        var error = Assert.Throws<LrtMeshException>(() => SafetensorsFile.Open(_path));
        Assert.Equal(ErrorReason.DataLoss, error.Reason);
        Assert.Contains(_path, error.Message, StringComparison.Ordinal);
        Assert.Contains(message, error.Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(-1)]
    [InlineData(1)]
    [InlineData(1000)]
    [InlineData(long.MaxValue)]
    public void A_header_that_does_not_fit_the_file_is_refused(long length)
    {
        Write(length, "{}", 0);
        Assert.Contains("header's length", Assert.Throws<LrtMeshException>(() => SafetensorsFile.Open(_path)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_missing_tensor_and_a_wrong_shape_are_named()
    {
        using var values = arange(6, ScalarType.Float32);
        SafetensorsWriter.Write(_path, [("a", values)]);
        using var file = SafetensorsFile.Open(_path);
        Assert.Contains("no tensor 'b'", Assert.Throws<LrtMeshException>(() => file.Read("b", [6], ScalarType.Float32)).Message, StringComparison.Ordinal);
        Assert.Contains("[6]", Assert.Throws<LrtMeshException>(() => file.Read("a", [2, 3], ScalarType.Float32)).Message, StringComparison.Ordinal);
        using var read = file.Read("a", [6], ScalarType.Float32);
        Assert.Equal(values.Floats().ToArray(), read.Floats().ToArray());
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

                File.WriteAllBytes(_path, bytes);
                try
                {
                    using var file = SafetensorsFile.Open(_path);
                    foreach (var name in file.Tensors.Keys)
                    {
                        using var read = file.Read(name, [32], ScalarType.Float32);
                    }
                }
                catch (LrtMeshException)
                {
                    // refused, as it should be
                }
            },
            iter: 3000, threads: 1);
    }

    private void Write(long headerLength, string header, int dataBytes)
    {
        using var file = File.Create(_path);
        Span<byte> length = stackalloc byte[8];
        BinaryPrimitives.WriteInt64LittleEndian(length, headerLength);
        file.Write(length);
        file.Write(Encoding.UTF8.GetBytes(header));
        file.Write(new byte[dataBytes]);
    }
}
