using System.Collections.Concurrent;
using Grpc.Core;
using Xunit;

namespace LrtMesh.Faults;

/// <summary>What the tests of faults start from.</summary>
public abstract class FaultTests
{
    /// <summary>Skips where the mesh cannot run.</summary>
    protected FaultTests(FaultTable table, FaultMesh mesh)
    {
        (Table, Mesh) = (table, mesh);
        mesh.Need();
    }

    protected FaultTable Table { get; }

    protected FaultMesh Mesh { get; }

    protected static CancellationToken Ct => TestContext.Current.CancellationToken;

    protected static string Megabytes(long bytes) => $"{bytes / 1e6:F0} MB";

    /// <summary>How calls ended.</summary>
    protected sealed class Endings
    {
        private readonly ConcurrentDictionary<StatusCode, int> _counts = new();
        private readonly ConcurrentDictionary<StatusCode, string> _details = new();

        public int Total => _counts.Values.Sum();

        public int this[StatusCode code] => _counts.GetValueOrDefault(code);

        /// <summary>Makes a call, and counts how it ends.</summary>
        public async Task<StatusCode> CountAsync(Func<Task> call)
        {
            var code = StatusCode.OK;
            try
            {
                await call();
            }
            catch (RpcException e)
            {
                code = e.StatusCode;
                _details.TryAdd(code, e.Status.Detail);
            }

            _counts.AddOrUpdate(code, 1, (_, count) => count + 1);
            return code;
        }

        /// <summary>What the first that ended so said.</summary>
        public string Detail(StatusCode code) => _details.TryGetValue(code, out var detail) ? $" (\"{detail}\")" : "";

        public override string ToString() => string.Join(", ", _counts.OrderBy(count => count.Key).Select(count => $"{count.Value} {count.Key}"));
    }
}
