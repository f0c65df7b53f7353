"""Models that a user might write."""

SOURCE = '''
import numpy as np
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression, Ridge, SGDClassifier
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


class Scaled(LogisticRegression):
    """Of scikit-learn's, and so exported by itself."""


def Piped(C=1.0, fit_intercept=True):
    return make_pipeline(StandardScaler(), LogisticRegression(C=C, fit_intercept=fit_intercept))


class Forest(RandomForestClassifier):
    def __init__(self, n_estimators=5, max_depth=3, random_state=None):
        super().__init__(n_estimators=n_estimators, max_depth=max_depth, random_state=random_state)


class Descent(SGDClassifier):
    """Its file has a Sigmoid over all rows at once."""

    def __init__(self, random_state=None):
        super().__init__(loss="log_loss", random_state=random_state)


def Tangents(random_state=None):
    return make_pipeline(StandardScaler(), MLPClassifier((5, 3), activation="tanh", max_iter=300, random_state=random_state))


class Line(Ridge):
    pass


class Sign:
    """Plain Python: nothing can export it."""

    def __init__(self, column, odds=0.6):
        self.column, self.odds = int(column), odds

    def fit(self, rows, labels):
        self.middle = float(np.median(rows[:, self.column]))
        return self

    def predict(self, rows):
        return np.where(rows[:, self.column] > self.middle, self.odds, 1 - self.odds)


class Exported(Sign):
    """As Sign, with a file of its own."""

    def to_onnx(self):
        from onnx import TensorProto, helper, numpy_helper

        def number(name, value, kind=np.float32):
            return numpy_helper.from_array(np.array(value, kind), name)

        nodes = [
            helper.make_node("Gather", ["x", "k"], ["one"], axis=1),
            helper.make_node("Greater", ["one", "middle"], ["above"]),
            helper.make_node("Where", ["above", "high", "low"], ["y"]),
        ]
        graph = helper.make_graph(
            nodes, "sign",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [None, None])],
            [helper.make_tensor_value_info("y", TensorProto.DOUBLE, [None, 1])],
            [number("k", [self.column], np.int64), number("middle", self.middle),
             number("high", self.odds, np.float64), number("low", 1 - self.odds, np.float64)],
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


class Lying(Exported):
    def predict(self, rows):
        return super().predict(rows) + 0.01


class Failing(Sign):
    def fit(self, rows, labels):
        raise ValueError("nothing to learn\\nhere")


class Wide(Sign):
    def predict(self, rows):
        return rows[:, :2] * 0


class Sure(Sign):
    def predict(self, rows):
        return rows[:, 0] * 0 + 7.0


class Brittle(LogisticRegression):
    """With a large C its answers are no numbers."""

    def predict_proba(self, rows):
        return super().predict_proba(rows) * (np.nan if self.C > 1.0 else 1.0)


class Nothing:
    pass
'''
