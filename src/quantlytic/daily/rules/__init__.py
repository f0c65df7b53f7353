"""What vendors get wrong in daily history, a rule a file. Pure: rows in; rows, repairs and doubts out."""
