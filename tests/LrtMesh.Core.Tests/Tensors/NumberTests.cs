using LrtMesh.Core.Maps;
using LrtMesh.Core.Tensors;
using LrtMesh.Core.Tests.Maps;
using Mono.Cecil;
using TorchSharp;
using Xunit;

namespace LrtMesh.Core.Tests.Tensors;

/// <summary>Numbers live until native code has read them.</summary>
[Collection(MomentsRunAlone.Name)]
public sealed class NumberTests
{
    private const string Scalar = "TorchSharp.Scalar";
    private static readonly TimeSpan Pressed = TimeSpan.FromSeconds(4);

    [Fact]
    public void Collections_while_maps_are_measured_take_no_number_away()
    {
        var moments = PairedRows.Affine(1, 6, 4, documents: 8, rowsPerDocument: 20, noise: 1).Accumulate(folds: 4).Pair();
        var expected = LeastSquares.Fit(moments).R2;
        using var over = new CancellationTokenSource();
        var collecting = new Thread(() =>
        {
            while (!over.IsCancellationRequested)
            {
                GC.Collect(0);
                GC.WaitForPendingFinalizers(); // on this thread's time: that of the others goes on
            }
        });
        collecting.Start();
        try
        {
            var until = DateTime.UtcNow + Pressed;
            Parallel.For(0, 4, _ =>
            {
                while (DateTime.UtcNow < until)
                {
                    Assert.Equal(expected, LeastSquares.Fit(moments).R2, 1e-9);
                }
            });
        }
        finally
        {
            over.Cancel();
            collecting.Join();
        }
    }

    /// <summary>
    /// TorchSharp makes a Scalar of each number, also within some of its operators (the factor 1 of a sum); nothing of ours leaves one to the finalizer.
    /// </summary>
    [Fact]
    public void Every_number_that_services_give_to_torch_is_kept()
    {
        using var torch = AssemblyDefinition.ReadAssembly(typeof(torch).Assembly.Location);
        var makers = Makers(torch);
        Assert.Contains("add", makers.Select(method => method.Name));
        var left = new List<string>();
        foreach (var file in Directory.GetFiles(AppContext.BaseDirectory, "LrtMesh.*.dll").Where(file => Path.GetFileNameWithoutExtension(file) is
            "LrtMesh.Core" or "LrtMesh.Extraction" or "LrtMesh.Mapping" or "LrtMesh.Generation" or "LrtMesh.Standalone"))
        {
            using var assembly = AssemblyDefinition.ReadAssembly(file);
            left.AddRange(
                from method in MethodsOf(assembly)
                where method.DeclaringType.Name != nameof(Number)
                from called in CallsOf(method)
                where IsMade(called) || makers.Contains(called, ByName.Instance)
                select $"{method.FullName} calls {called.FullName}");
        }

        // What TorchScript is called with is no number that it would make a Scalar of: a decoder gives it Scalars.
        Assert.Equal([], left.Where(call => !call.Contains("CompilationUnit::invoke", StringComparison.Ordinal)));
        Assert.NotEmpty(left);
    }

    /// <summary>Methods of TorchSharp that make Scalars of their own, themselves or through others.</summary>
    private static HashSet<MethodReference> Makers(AssemblyDefinition torch)
    {
        var methods = MethodsOf(torch).Where(method => !method.DeclaringType.Name.StartsWith(nameof(Scalar), StringComparison.Ordinal)).ToArray();
        var makers = new HashSet<MethodReference>(methods.Where(method => CallsOf(method).Any(IsMade)), ByName.Instance);
        while (methods.Where(method => !makers.Contains(method) && CallsOf(method).Any(makers.Contains)).ToArray() is { Length: > 0 } more)
        {
            makers.UnionWith(more);
        }

        return makers;
    }

    private static bool IsMade(MethodReference called) => called.DeclaringType.FullName == Scalar ? called.Name == "op_Implicit" : called.Name == "ToScalar" && called.ReturnType.FullName == Scalar;

    private static IEnumerable<MethodDefinition> MethodsOf(AssemblyDefinition assembly) => assembly.MainModule.GetTypes().SelectMany(type => type.Methods).Where(method => method.HasBody);

    private static IEnumerable<MethodReference> CallsOf(MethodDefinition method) => method.Body.Instructions.Select(instruction => instruction.Operand).OfType<MethodReference>();

    private sealed class ByName : IEqualityComparer<MethodReference>
    {
        public static ByName Instance { get; } = new();

        public bool Equals(MethodReference? x, MethodReference? y) => x?.FullName == y?.FullName;

        public int GetHashCode(MethodReference method) => method.FullName.GetHashCode(StringComparison.Ordinal);
    }
}
