using CsCheck;
using Google.Protobuf;
using LrtMesh.Core.Tensors;
using LrtMesh.V1;
using Xunit;

namespace LrtMesh.Core.Tests.Tensors;

public class TensorCodecTests
{
    private const long Limit = 1 << 20;

    [Fact]
    public void Float32_comes_back_bit_for_bit() =>
        Gen.Float.Array[0, 200].Sample(values =>
        {
            var tensor = Tensor.Parser.ParseFrom(TensorCodec.Encode(values, values.Length).ToByteArray());
            var back = TensorCodec.Decode(tensor, "vector", Limit);
            Assert.Equal(values.Select(BitConverter.SingleToUInt32Bits), back.Select(BitConverter.SingleToUInt32Bits));
        });

    [Theory]
    [InlineData(Dtype.Float16, 1.0 / 2048)]
    [InlineData(Dtype.Bfloat16, 1.0 / 256)]
    [InlineData(Dtype.Float64, 0)]
    public void Other_types_round_to_nearest(Dtype dtype, double relative) =>
        Gen.Float[-60000, 60000].Where(v => v == 0 || Math.Abs(v) > 1e-3).Array[1, 50].Sample(values =>
        {
            var back = TensorCodec.Decode(Typed(values, dtype), "rows", Limit);
            Assert.All(values.Zip(back), pair => Assert.InRange(Math.Abs(pair.First - pair.Second), 0, Math.Abs(pair.First) * relative));
        });

    [Theory]
    [InlineData(Dtype.Float16, 65520f, float.PositiveInfinity)]
    [InlineData(Dtype.Float16, 1.00048828125f, 1f)] // halfway between 1 and the next: to even
    [InlineData(Dtype.Bfloat16, 1.00390625f, 1f)] // likewise
    [InlineData(Dtype.Bfloat16, 1.01171875f, 1.015625f)] // likewise, where even is above
    [InlineData(Dtype.Bfloat16, float.MaxValue, float.PositiveInfinity)]
    [InlineData(Dtype.Bfloat16, float.NaN, float.NaN)]
    [InlineData(Dtype.Float16, float.NegativeInfinity, float.NegativeInfinity)]
    public void Edges_of_narrow_types(Dtype dtype, float value, float expected) =>
        Assert.Equal(expected, TensorCodec.Decode(Typed([value], dtype), "rows", Limit)[0]);

    [Fact]
    public void A_NaN_whose_payload_is_low_stays_NaN_in_bfloat16() =>
        Assert.True(float.IsNaN(TensorCodec.Decode(Typed([BitConverter.UInt32BitsToSingle(0x7F800001)], Dtype.Bfloat16), "rows", Limit)[0]));

    [Theory]
    [InlineData(Dtype.Float16)]
    [InlineData(Dtype.Bfloat16)]
    public void Many_elements_are_rounded_as_each_by_itself(Dtype dtype) =>
        Gen.UInt.Array[1, 200].Sample(bits =>
        {
            float[] values = [.. bits.Select(BitConverter.UInt32BitsToSingle)]; // NaN, infinities and subnormals among them
            Assert.Equal(values.SelectMany(value => TensorCodec.Encode([value], dtype)), TensorCodec.Encode(values, dtype));
        });

    public static TheoryData<string, Action<Tensor>> Mistakes => new()
    {
        { "rows.header", t => t.Header = null },
        { "rows.header.dtype", t => t.Header.Dtype = Dtype.Unspecified },
        { "rows.header.dtype", t => t.Header.Dtype = (Dtype)77 },
        { "rows.header.byte_length", t => t.Header.ByteLength = 23 },
        { "rows.header.byte_length", t => t.Header.ByteLength = ulong.MaxValue },
        { "rows.header.byte_length", t => t.Header.Shape[0] = 4 },
        { "rows.header.byte_length", t => t.Header.Dtype = Dtype.Float16 },
        { "rows.header.shape", t => t.Header.Shape.AddRange([1, 1, 1, 1, 1, 1, 1]) },
        { "rows.header.shape", t => t.Header.Shape[0] = 1UL << 40 },
        { "rows.header.shape", t => t.Header.Shape.AddRange([1UL << 32, 1UL << 32]) }, // the product wraps to 0
        { "rows.header.shape", t => t.Header.Shape.AddRange([ulong.MaxValue, ulong.MaxValue]) },
        { "rows.data", t => t.Data = ByteString.CopyFrom(t.Data.Span[..23]) },
        { "rows.data", t => t.Data = ByteString.Empty },
        { "rows.crc32c", t => t.Crc32C ^= 1 },
        { "rows.crc32c", t => t.Data = ByteString.CopyFrom([.. t.Data.Select(b => (byte)(b ^ 1))]) },
    };

    [Theory]
    [MemberData(nameof(Mistakes))]
    public void A_mistake_is_refused_by_its_field(string field, Action<Tensor> mistake)
    {
        var tensor = TensorCodec.Encode([1, 2, 3, 4, 5, 6], 3, 2);
        mistake(tensor);
        var error = Assert.Throws<LrtMeshException>(() => TensorCodec.Decode(tensor, "rows", Limit));
        Assert.Equal(ErrorReason.InvalidArgument, error.Reason);
        Assert.Equal(field, Assert.Single(error.Violations).Field);
    }

    [Fact]
    public void A_length_that_is_wrong_is_told_the_right_one()
    {
        var tensor = TensorCodec.Encode([1, 2, 3, 4, 5, 6], 3, 2);
        tensor.Header.ByteLength = 20;
        var error = Assert.Throws<LrtMeshException>(() => TensorCodec.Decode(tensor, "rows", Limit));
        Assert.Contains("must be 24", error.Message, StringComparison.Ordinal);
        Assert.Contains("[3, 2]", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Nothing_set_is_refused() =>
        Assert.Equal("rows", Assert.Throws<LrtMeshException>(() => TensorCodec.Decode(null, "rows", Limit)).Violations[0].Field);

    [Fact]
    public void The_limit_counts_elements()
    {
        var tensor = TensorCodec.Encode([1, 2, 3, 4, 5, 6], 3, 2);
        Assert.Equal(6, TensorCodec.Decode(tensor, "rows", 6).Length);
        Assert.Equal("rows.header.shape", Assert.Throws<LrtMeshException>(() => TensorCodec.Decode(tensor, "rows", 5)).Violations[0].Field);
    }

    [Fact]
    public void A_scalar_has_no_dimensions_and_an_empty_tensor_no_bytes()
    {
        Assert.Equal([7f], TensorCodec.Decode(TensorCodec.Encode([7]), "x", 1));
        Assert.Equal("x.header.shape", Assert.Throws<LrtMeshException>(() => TensorCodec.Decode(TensorCodec.Encode([7]), "x", 0)).Violations[0].Field);
        var empty = TensorCodec.Encode([], 0, 5);
        empty.Header.Shape[1] = ulong.MaxValue;
        Assert.Empty(TensorCodec.Decode(empty, "x", Limit));
    }

    [Theory]
    [InlineData(new ulong[] { 6 })]
    [InlineData(new ulong[] { 2, 3 })]
    [InlineData(new ulong[] { 3, 2, 1 })]
    public void Rows_of_another_width_are_refused(ulong[] shape)
    {
        var tensor = TensorCodec.Encode([1, 2, 3, 4, 5, 6], 3, 2);
        Assert.Equal(6, TensorCodec.DecodeRows(tensor, 2, "rows", Limit).Length);
        tensor.Header.Shape.Clear();
        tensor.Header.Shape.AddRange(shape);
        var error = Assert.Throws<LrtMeshException>(() => TensorCodec.DecodeRows(tensor, 2, "rows", Limit));
        Assert.Equal("rows.header.shape", error.Violations[0].Field);
        Assert.Contains("[rows, 2]", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_tensor_too_large_for_one_message_is_not_written()
    {
        var most = TensorCodec.MaximumInlineBytes / sizeof(float);
        Assert.Equal(TensorCodec.MaximumInlineBytes, TensorCodec.Encode(new float[most], most).Data.Length);
        Assert.Equal(ErrorReason.OutOfRange, Assert.Throws<LrtMeshException>(() => TensorCodec.Encode(new float[most + 1], most + 1)).Reason);
    }

    private static Tensor Typed(float[] values, Dtype dtype)
    {
        var data = TensorCodec.Encode(values, dtype);
        return new Tensor { Header = TensorCodec.Header(dtype, values.Length), Data = ByteString.CopyFrom(data), Crc32C = Crc32C.Compute(data) };
    }
}
