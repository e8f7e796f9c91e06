using System.Numerics.Tensors;

namespace LrtMesh.Core.Steering.Learning;

/// <summary>
/// Logistic regression with an L2 penalty: of all hidden states h, centred and divided by their root mean square distance from the
/// mean to x = (h − c) / s, with y = ±1 for the class, the w that minimizes mean ln(1 + exp(−y·(w·x + b))) + λ/2·‖w‖². One scale s for all
/// dimensions leaves the axes of the hidden states as they are, and makes λ mean the same at every layer. By Newton's
/// method (iteratively reweighted least squares), each step solved by conjugate gradients (Lin, Weng and Keerthi 2008).
/// </summary>
internal static class LogisticProbe
{
    /// <summary>λ where none is said.</summary>
    public const double DefaultLambda = 0.001;

    private const double Tolerance = 1e-10; // length of the gradient, which has no unit, as x has none
    private const double Decrease = 1e-4; // share of what the slope promises that a step must bring (Armijo)
    private const double Rounding = 1e-13; // of the loss
    private const int MaxSteps = 200; // ten are usual

    /// <summary>w / s: the axis in the coordinates of the hidden states, [width]; all zero where the states are all the same.</summary>
    /// <exception cref="OperationCanceledException">It was cancelled.</exception>
    public static double[] Axis(PairedStates states, double lambda, CancellationToken cancellation)
    {
        var (rows, scale) = Standardize(states);
        if (scale == 0)
        {
            return new double[states.Width];
        }

        var penalty = new double[rows.Width];
        Array.Fill(penalty, lambda);
        penalty[^1] = 0; // the intercept has none
        var labels = new double[rows.Count];
        labels.AsSpan(0, states.Count).Fill(1);
        labels.AsSpan(states.Count).Fill(-1);

        var current = new Point(new double[rows.Width], rows, labels, penalty);
        for (var step = 0; TensorPrimitives.Norm<double>(current.Gradient) > Tolerance; step++)
        {
            if (step == MaxSteps)
            {
                throw new InvalidOperationException($"a logistic probe of {rows.Count} states at λ = {lambda} has not converged in {MaxSteps} steps");
            }

            var towards = current.NewtonStep(cancellation);
            var slope = TensorPrimitives.Dot<double>(current.Gradient, towards);
            Point moved;
            var size = 2.0;
            do
            {
                size /= 2;
                var weights = new double[rows.Width];
                TensorPrimitives.MultiplyAdd<double>(towards, size, current.Weights, weights);
                moved = new Point(weights, rows, labels, penalty);
            }
            while (moved.Loss > current.Loss + (size * Decrease * slope) + (Rounding * current.Loss));
            current = moved;
        }

        var axis = current.Weights[..^1];
        TensorPrimitives.Divide(axis, scale, axis);
        return axis;
    }

    /// <summary>The states as x, positive ones first, each with a 1 for the intercept at its end: [2·pairs, width + 1]; and s.</summary>
    private static (StateRows Rows, double Scale) Standardize(PairedStates states)
    {
        double[][] all = [.. states.Positive, .. states.Negative];
        var centre = new double[states.Width];
        foreach (var state in all)
        {
            TensorPrimitives.Add<double>(centre, state, centre);
        }

        TensorPrimitives.Divide(centre, all.Length, centre);
        var rows = new double[all.Length][];
        var squares = 0.0;
        for (var i = 0; i < rows.Length; i++)
        {
            rows[i] = new double[states.Width + 1];
            TensorPrimitives.Subtract<double>(all[i], centre, rows[i]);
            squares += TensorPrimitives.SumOfSquares<double>(rows[i]);
        }

        var scale = Math.Sqrt(squares / rows.Length);
        foreach (var row in rows)
        {
            TensorPrimitives.Divide(row, scale > 0 ? scale : 1, row);
            row[^1] = 1;
        }

        return (new StateRows(rows), scale);
    }

    /// <summary>The loss, its gradient and its curvature at some weights.</summary>
    private sealed class Point
    {
        private readonly StateRows _rows;
        private readonly double[] _penalty;
        private readonly double[] _curvature; // of each row's loss by its margin, over the number of rows

        public Point(double[] weights, StateRows rows, double[] labels, double[] penalty)
        {
            (Weights, _rows, _penalty, _curvature) = (weights, rows, penalty, new double[rows.Count]);
            var margins = rows.Times(weights);
            var slopes = new double[rows.Count];
            for (var i = 0; i < margins.Length; i++)
            {
                var margin = labels[i] * margins[i];
                var small = Math.Exp(-Math.Abs(margin));
                var wrong = (margin > 0 ? small : 1) / (1 + small); // 1 / (1 + exp(margin)), without overflow
                Loss += (Math.Max(-margin, 0) + double.LogP1(small)) / rows.Count;
                slopes[i] = -labels[i] * wrong / rows.Count;
                _curvature[i] = wrong * (1 - wrong) / rows.Count;
            }

            Gradient = rows.TransposedTimes(slopes);
            for (var i = 0; i < penalty.Length; i++)
            {
                Loss += penalty[i] / 2 * weights[i] * weights[i];
                Gradient[i] += penalty[i] * weights[i];
            }
        }

        public double[] Weights { get; }

        public double Loss { get; }

        public double[] Gradient { get; }

        /// <summary>−H⁻¹·gradient by conjugate gradients, the more exactly the nearer the end.</summary>
        public double[] NewtonStep(CancellationToken cancellation)
        {
            var step = new double[_rows.Width];
            var rest = Array.ConvertAll(Gradient, element => -element);
            var towards = (double[])rest.Clone();
            var square = TensorPrimitives.SumOfSquares<double>(rest);
            var length = Math.Sqrt(square);
            var enough = length * Math.Clamp(length, 1e-4, 0.1);
            while (Math.Sqrt(square) > enough)
            {
                cancellation.ThrowIfCancellationRequested();
                var image = Curved(towards);
                var size = square / TensorPrimitives.Dot<double>(towards, image);
                TensorPrimitives.MultiplyAdd<double>(towards, size, step, step);
                TensorPrimitives.MultiplyAdd<double>(image, -size, rest, rest);
                var smaller = TensorPrimitives.SumOfSquares<double>(rest);
                TensorPrimitives.MultiplyAdd<double>(towards, smaller / square, rest, towards);
                square = smaller;
            }

            return step;
        }

        // H·v = Xᵀ·(curvature ∘ (X·v)) + penalty ∘ v.
        private double[] Curved(double[] vector)
        {
            var along = _rows.Times(vector);
            TensorPrimitives.Multiply<double>(along, _curvature, along);
            var image = _rows.TransposedTimes(along);
            TensorPrimitives.MultiplyAdd<double>(_penalty, vector, image, image);
            return image;
        }
    }
}
